# The rights of read_snapshot in the databases whose small tables it reads. It connects and logs in as list_tables does, and may not
# export.

resource "google_project_iam_member" "reader_connects" {
  for_each = toset([for p in local.by_snapshot : p.instance if p.host == null])

  project = local.instances[each.value].project
  role    = "roles/cloudsql.client"
  member  = google_service_account.function["read_snapshot"].member

  dynamic "condition" {
    for_each = var.condition_on_instance ? [local.on_instance[each.value]] : []
    content {
      title      = "${local.instances[each.value].name} alone"
      expression = condition.value
    }
  }
}

resource "google_project_iam_member" "reader_logs_in" {
  for_each = local.read_by_iam

  project = local.instances[each.value].project
  role    = "roles/cloudsql.instanceUser"
  member  = google_service_account.function["read_snapshot"].member

  dynamic "condition" {
    for_each = var.condition_on_instance ? [local.on_instance[each.value]] : []
    content {
      title      = "${local.instances[each.value].name} alone"
      expression = condition.value
    }
  }
}

resource "google_sql_user" "reader" {
  for_each = local.read_by_iam

  project         = local.instances[each.value].project
  instance        = local.instances[each.value].name
  name            = local.reader
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON" # PostgreSQL does not drop a user that has grants
}

resource "google_secret_manager_secret_iam_member" "reader_password" {
  for_each = { for name, secret in google_secret_manager_secret.password : name => secret if contains(keys(local.by_snapshot), name) }

  project   = var.project_id
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["read_snapshot"].member
}

resource "google_secret_manager_secret_iam_member" "reader_ca" {
  for_each = { for name, secret in google_secret_manager_secret.ca : name => secret if contains(keys(local.by_snapshot), name) }

  project   = var.project_id
  secret_id = each.value.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["read_snapshot"].member
}

locals {
  read_by_iam = toset([for p in local.by_snapshot : p.instance if p.host == null && p.password_file == null])
}
