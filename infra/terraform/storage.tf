resource "google_storage_bucket" "main" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  # A dataset's files are written once; older versions would only cost.
  versioning {
    enabled = false
  }

  # Deleted is deleted: a run's leftovers would be kept for a week.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age            = var.temporary_days
      matches_prefix = ["tmp/"]
    }
    action {
      type = "Delete"
    }
  }

  # Uploads that were cut off are invisible, and cost.
  lifecycle_rule {
    condition {
      age = 1
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of tapirus"
  depends_on    = [google_project_service.needed]

  docker_config {
    immutable_tags = true # a tag names the same image for ever
  }
}
