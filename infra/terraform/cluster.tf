resource "google_container_cluster" "main" {
  name       = var.name
  location   = var.zone
  network    = google_compute_network.main.id
  subnetwork = google_compute_subnetwork.main.id

  # Pools of their own below; the one that comes with a cluster cannot be changed.
  remove_default_node_pool = true
  initial_node_count       = 1

  deletion_protection = var.deletion_protection
  datapath_provider   = "ADVANCED_DATAPATH" # else network policies are not enforced

  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
  }

  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.admin_ranges
      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  release_channel {
    channel = "REGULAR"
  }

  # Nodes without work go sooner than by default.
  cluster_autoscaling {
    autoscaling_profile = "OPTIMIZE_UTILIZATION"
  }
}

resource "google_container_node_pool" "system" {
  name     = "system"
  cluster  = google_container_cluster.main.id
  location = var.zone

  autoscaling {
    total_min_node_count = 1
    total_max_node_count = var.max_system_nodes
  }

  node_config {
    machine_type    = var.system_machine_type
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot = true
    }
  }
}

resource "google_container_node_pool" "cpu" {
  name     = "cpu"
  cluster  = google_container_cluster.main.id
  location = var.zone

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.max_cpu_nodes
    location_policy      = "ANY"
  }

  node_config {
    machine_type    = var.cpu_machine_type
    spot            = var.spot
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    # Only what tolerates it goes to nodes that may be taken away: the workers.
    dynamic "taint" {
      for_each = var.spot ? ["true"] : []
      content {
        key    = "cloud.google.com/gke-spot"
        value  = taint.value
        effect = "NO_SCHEDULE"
      }
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot = true
    }
  }
}

resource "google_container_node_pool" "gpu" {
  name     = "gpu"
  cluster  = google_container_cluster.main.id
  location = var.zone

  autoscaling {
    total_min_node_count = 0
    total_max_node_count = var.max_gpu_nodes
    location_policy      = "ANY"
  }

  # GKE adds the taint nvidia.com/gpu itself.
  node_config {
    machine_type    = var.gpu_machine_type
    spot            = var.spot
    disk_size_gb    = 100 # the image with CUDA is large
    disk_type       = "pd-balanced"
    service_account = google_service_account.node.email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]

    guest_accelerator {
      type  = var.gpu_type
      count = 1

      gpu_driver_installation_config {
        gpu_driver_version = "LATEST"
      }
    }

    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot = true
    }
  }
}
