# The archive that every function is built from. It holds only the files that are listed here. It is flat, because the
# framework puts only the entry file's directory on sys.path. Its name is its hash, so only changed code is deployed again.

locals {
  repository = "${path.module}/.."
}

data "archive_file" "source" {
  type        = "zip"
  output_path = "${path.module}/build/source.zip"

  dynamic "source" {
    for_each = setunion(
      fileset(local.repository, "functions/*.py"),
      fileset(local.repository, "shared/**/*.py"),
      ["requirements.txt"],
    )
    content {
      filename = trimprefix(source.value, "functions/")
      content  = file("${local.repository}/${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:It holds the open source of the functions, and audit logs say who changes it
  #checkov:skip=CKV_GCP_63:It keeps no log of access, in itself or elsewhere
  #checkov:skip=CKV_GCP_78:An archive is named by its hash, and is never changed
  name     = "${var.project_id}-${var.prefix}mirror-source"
  project  = var.project_id
  location = var.region
  labels   = var.labels

  force_destroy               = true
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_object" "source" {
  name   = "source-${data.archive_file.source.output_md5}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path
}

# The functions are built by an account of their own. Cloud Build's default account may do far more, or nothing at all in an
# organisation that grants it no role.
resource "google_service_account" "build" {
  account_id   = "${var.prefix}mirror-build"
  project      = var.project_id
  display_name = "Cloud SQL Mirror: builds the functions"

  depends_on = [google_project_service.api]
}

# A build reads the archive from Google's own bucket, which it is copied to. That bucket is made with the region's first
# function, so the grant is the project's (https://cloud.google.com/functions/docs/building).
resource "google_project_iam_member" "build_sources" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title      = "the functions' sources"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-${var.region}\")"
  }
}

resource "google_project_iam_member" "build_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}

resource "google_artifact_registry_repository" "images" {
  #checkov:skip=CKV_GCP_84:The images hold open source and nothing of yours
  repository_id = "${var.prefix}mirror"
  project       = var.project_id
  location      = var.region
  description   = "Images of Cloud SQL Mirror's functions."
  format        = "DOCKER"
  labels        = var.labels

  cleanup_policies {
    id     = "keep-the-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 3
    }
  }
  cleanup_policies {
    id     = "delete-the-rest"
    action = "DELETE"
    condition {
      older_than = "2592000s" # 30 days
    }
  }

  depends_on = [google_project_service.api]
}

# On this repository and what is in it: a prefix alone would also match the repository `mirror-x`.
resource "google_project_iam_member" "build_images" {
  project = var.project_id
  role    = "roles/artifactregistry.writer"
  member  = google_service_account.build.member

  condition {
    title      = "the mirror's images"
    expression = "resource.name == \"${local.images}\" || resource.name.startsWith(\"${local.images}/\")"
  }
}

locals {
  images = "projects/${var.project_id}/locations/${var.region}/repositories/${google_artifact_registry_repository.images.repository_id}"
}

# A new grant may take a minute to hold. Functions that are made earlier fail to build, or to start.
resource "time_sleep" "grants" {
  create_duration = "60s"

  triggers = merge(
    {
      build_images  = google_project_iam_member.build_images.id
      build_logs    = google_project_iam_member.build_logs.id
      build_sources = google_project_iam_member.build_sources.id
      events        = google_project_iam_member.events.id
    },
    { for name, grant in google_secret_manager_secret_iam_member.password : "password_${name}" => grant.id },
    { for name, grant in google_secret_manager_secret_iam_member.ca : "ca_${name}" => grant.id },
    { for name, grant in google_secret_manager_secret_iam_member.reader_password : "reader_password_${name}" => grant.id },
    { for name, grant in google_secret_manager_secret_iam_member.reader_ca : "reader_ca_${name}" => grant.id },
  )
}
