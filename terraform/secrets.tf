# A password, where a pipeline logs in with one. Terraform makes the secret and never sees what is in it:
# `gcloud secrets versions add` puts it there, before list_tables can be deployed.

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
