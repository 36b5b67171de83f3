resource "google_compute_network" "main" {
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.needed]
}

resource "google_compute_subnetwork" "main" {
  name                     = var.name
  network                  = google_compute_network.main.id
  region                   = var.region
  ip_cidr_range            = var.subnetwork_range
  private_ip_google_access = true # the bucket is reached without the internet

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = "10.64.0.0/14"
  }

  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = "10.68.0.0/20"
  }
}

# Nodes have no address of their own on the internet; images that are not in the registry below
# (KubeRay, Flink) come through here.
resource "google_compute_router" "main" {
  name    = var.name
  network = google_compute_network.main.id
  region  = var.region
}

resource "google_compute_router_nat" "main" {
  name                               = var.name
  router                             = google_compute_router.main.name
  region                             = var.region
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

# The Ray cluster's address for Dataflow's workers, the same for every launch.
resource "google_compute_address" "ray" {
  count        = var.dataflow ? 1 : 0
  name         = "${var.name}-ray"
  address_type = "INTERNAL"
  purpose      = "SHARED_LOADBALANCER_VIP"
  address      = var.ray_host
  subnetwork   = google_compute_subnetwork.main.id
  region       = var.region
}

# Dataflow's workers speak to each other while they shuffle.
resource "google_compute_firewall" "dataflow" {
  count       = var.dataflow ? 1 : 0
  name        = "${var.name}-dataflow"
  network     = google_compute_network.main.id
  source_tags = ["dataflow"]
  target_tags = ["dataflow"]

  allow {
    protocol = "tcp"
    ports    = ["12345-12346"]
  }
}
