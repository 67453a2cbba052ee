# The rights on the Cloud SQL instances. Each is granted in the instance's project, for that instance only by a condition.

locals {
  on_instance = {
    for instance, at in local.instances :
    instance => "resource.service == \"sqladmin.googleapis.com\" && resource.name == \"projects/${at.project}/instances/${at.name}\""
  }
}

# Each predefined role that may export may also change the instance, or read all others.
resource "google_project_iam_custom_role" "exporter" {
  for_each = toset([for at in local.instances : at.project])

  project     = each.value
  role_id     = "${local.role_prefix}mirrorExporter"
  title       = "Cloud SQL Mirror: exporter"
  description = "Exports from a Cloud SQL instance, and sees it."
  permissions = ["cloudsql.instances.export", "cloudsql.instances.get"]

  depends_on = [google_project_service.api]
}

# To list an instance's operations takes the right to list instances, which is looked for on the project: a condition on the
# instance would not match (https://cloud.google.com/sql/docs/postgres/iam-permissions).
resource "google_project_iam_custom_role" "operations" {
  for_each = toset([for at in local.instances : at.project])

  project     = each.value
  role_id     = "${local.role_prefix}mirrorOperations"
  title       = "Cloud SQL Mirror: operations"
  description = "Sees the operations of Cloud SQL instances."
  permissions = ["cloudsql.instances.get", "cloudsql.instances.list"]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "operations" {
  for_each = google_project_iam_custom_role.operations

  project = each.key
  role    = "projects/${each.key}/roles/${each.value.role_id}"
  member  = google_service_account.function["export_table"].member
}

resource "google_project_iam_member" "exporter" {
  for_each = local.instances

  project = each.value.project
  role    = "projects/${each.value.project}/roles/${google_project_iam_custom_role.exporter[each.value.project].role_id}"
  member  = google_service_account.function["export_table"].member

  dynamic "condition" {
    for_each = var.condition_on_instance ? [local.on_instance[each.key]] : []
    content {
      title      = "${each.value.name} alone"
      expression = condition.value
    }
  }
}

# list_tables connects, unless the pipeline sets a host.
resource "google_project_iam_member" "lister_connects" {
  for_each = local.reached_by_connector

  project = local.instances[each.value].project
  role    = "roles/cloudsql.client"
  member  = google_service_account.function["list_tables"].member

  dynamic "condition" {
    for_each = var.condition_on_instance ? [local.on_instance[each.value]] : []
    content {
      title      = "${local.instances[each.value].name} alone"
      expression = condition.value
    }
  }
}

# It logs in as its own service account, unless the pipeline sets a password.
resource "google_project_iam_member" "lister_logs_in" {
  for_each = local.logged_into_by_iam

  project = local.instances[each.value].project
  role    = "roles/cloudsql.instanceUser"
  member  = google_service_account.function["list_tables"].member

  dynamic "condition" {
    for_each = var.condition_on_instance ? [local.on_instance[each.value]] : []
    content {
      title      = "${local.instances[each.value].name} alone"
      expression = condition.value
    }
  }
}

resource "google_sql_user" "lister" {
  for_each = local.logged_into_by_iam

  project         = local.instances[each.value].project
  instance        = local.instances[each.value].name
  name            = local.lister
  type            = "CLOUD_IAM_SERVICE_ACCOUNT"
  deletion_policy = "ABANDON" # PostgreSQL does not drop a user that has grants
}

# The instance itself writes an export, as its service account. An instance that is deleted and created again has another
# account.
data "google_sql_database_instance" "source" {
  for_each = local.instances

  project = each.value.project
  name    = each.value.name
}
