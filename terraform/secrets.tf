# The secret of each pipeline that logs in with a password. Terraform makes the secret and never sees the password. Add the
# password with `gcloud secrets versions add` before list_tables is deployed.

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
