# What the mirror may do with the Cloud SQL instances, each in its own project and, by a condition, with it alone.

locals {
  on_instance = {
    for instance, at in local.instances :
    instance => "resource.service == \"sqladmin.googleapis.com\" && resource.name == \"projects/${at.project}/instances/${at.name}\""
  }
}

# No predefined role has the right to export without the right to change the instance, or to read all others.
resource "google_project_iam_custom_role" "exporter" {
  for_each = toset([for at in local.instances : at.project])

  project     = each.value
  role_id     = "${local.role_prefix}mirrorExporter"
  title       = "Cloud SQL Mirror: exporter"
  description = "Exports from a Cloud SQL instance, and sees how its operations stand."
  permissions = ["cloudsql.instances.export", "cloudsql.instances.get"]
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

# list_tables connects, where no host of its own is set for that, …
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

# … and logs in as itself, where no password is set for that.
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
  deletion_policy = "ABANDON" # PostgreSQL drops no user that anything has been granted to
}

# It is the instance that writes an export, as its own service account, which changes when the instance is made anew.
data "google_sql_database_instance" "source" {
  for_each = local.instances

  project = each.value.project
  name    = each.value.name
}
