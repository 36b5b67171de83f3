output "credentials_command" {
  description = "Makes kubectl speak to the cluster."
  value       = "gcloud container clusters get-credentials ${google_container_cluster.main.name} --zone ${var.zone} --project ${var.project}"
}

output "bucket" {
  description = "For job.inputs and job.output."
  value       = google_storage_bucket.main.url
}

output "repository" {
  description = "image.repository"
  value       = "${google_artifact_registry_repository.images.location}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "driver_account" {
  description = "target.driver_account"
  value       = google_service_account.driver.email
}

output "worker_account" {
  description = "target.worker_account"
  value       = google_service_account.worker.email
}

output "dataflow_account" {
  description = "dataflow.worker_account"
  value       = one(google_service_account.dataflow[*].email)
}

output "ray_host" {
  description = "dataflow.ray_host"
  value       = one(google_compute_address.ray[*].address)
}

output "subnetwork" {
  description = "dataflow.subnetwork"
  value       = "regions/${var.region}/subnetworks/${google_compute_subnetwork.main.name}"
}

output "subnetwork_range" {
  description = "dataflow.source_ranges"
  value       = google_compute_subnetwork.main.ip_cidr_range
}
