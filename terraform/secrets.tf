# The secrets of a pipeline that logs in with a password, or that checks its host's server by a CA. Terraform makes a secret and
# never sees what it holds. Add that with `gcloud secrets versions add` before the functions that connect are deployed.

locals {
  # By the function that connects, and the path that it finds it at.
  mounted = {
    for function, pipelines in { list_tables = local.pipelines, read_snapshot = local.by_snapshot } :
    function => merge(
      { for name, file in local.passwords : file => google_secret_manager_secret.password[name].secret_id if contains(keys(pipelines), name) },
      { for name, file in local.cas : file => google_secret_manager_secret.ca[name].secret_id if contains(keys(pipelines), name) },
    )
  }
}

resource "google_secret_manager_secret" "password" {
  for_each = local.passwords

  secret_id = "${var.prefix}mirror-${each.key}-password"
  project   = var.project_id
  labels    = var.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_iam_member" "password" {
  for_each = google_secret_manager_secret.password

  project   = var.project_id
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["list_tables"].member
}

# No secret: functions can mount nothing else.
resource "google_secret_manager_secret" "ca" {
  for_each = local.cas

  secret_id = "${var.prefix}mirror-${each.key}-ca"
  project   = var.project_id
  labels    = var.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_iam_member" "ca" {
  for_each = google_secret_manager_secret.ca

  project   = var.project_id
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["list_tables"].member
}
