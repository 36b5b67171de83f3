resource "google_project_service" "needed" {
  for_each = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "compute.googleapis.com",
      "container.googleapis.com",
      "iam.googleapis.com",
      "storage.googleapis.com",
    ],
    var.dataflow ? ["dataflow.googleapis.com"] : [],
  ))
  service            = each.value
  disable_on_destroy = false
}

# Nodes: logs, metrics and images, nothing else. Pods have accounts of their own.
resource "google_service_account" "node" {
  account_id   = "${var.name}-node"
  display_name = "tapirus: nodes"
}

resource "google_project_iam_member" "node" {
  project = var.project
  role    = "roles/container.defaultNodeServiceAccount"
  member  = google_service_account.node.member
}

resource "google_artifact_registry_repository_iam_member" "node" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.node.member
}

# The driver reads videos and writes datasets.
resource "google_service_account" "driver" {
  account_id   = "${var.name}-driver"
  display_name = "tapirus: driver"
}

resource "google_storage_bucket_iam_member" "driver" {
  bucket = google_storage_bucket.main.name
  role   = "roles/storage.objectUser"
  member = google_service_account.driver.member
}

resource "google_service_account_iam_member" "driver" {
  service_account_id = google_service_account.driver.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${google_container_cluster.main.workload_identity_config[0].workload_pool}[${var.namespace}/tapirus-driver]"
}

# Ray's workers read videos.
resource "google_service_account" "worker" {
  account_id   = "${var.name}-worker"
  display_name = "tapirus: Ray workers"
}

resource "google_storage_bucket_iam_member" "worker" {
  bucket = google_storage_bucket.main.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.worker.member
}

resource "google_service_account_iam_member" "worker" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${google_container_cluster.main.workload_identity_config[0].workload_pool}[${var.namespace}/tapirus-worker]"
}

# Dataflow's workers write datasets; the driver may start a job that runs as they do.
resource "google_service_account" "dataflow" {
  count        = var.dataflow ? 1 : 0
  account_id   = "${var.name}-dataflow"
  display_name = "tapirus: Dataflow workers"
}

resource "google_project_iam_member" "dataflow_worker" {
  count   = var.dataflow ? 1 : 0
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.dataflow[0].member
}

resource "google_storage_bucket_iam_member" "dataflow" {
  count  = var.dataflow ? 1 : 0
  bucket = google_storage_bucket.main.name
  role   = "roles/storage.objectUser"
  member = google_service_account.dataflow[0].member
}

resource "google_artifact_registry_repository_iam_member" "dataflow" {
  count      = var.dataflow ? 1 : 0
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.dataflow[0].member
}

resource "google_project_iam_member" "driver_dataflow" {
  count   = var.dataflow ? 1 : 0
  project = var.project
  role    = "roles/dataflow.developer"
  member  = google_service_account.driver.member
}

resource "google_service_account_iam_member" "driver_dataflow" {
  count              = var.dataflow ? 1 : 0
  service_account_id = google_service_account.dataflow[0].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.driver.member
}
