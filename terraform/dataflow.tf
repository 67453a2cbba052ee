# The rights of start_loader: it looks up how a run was announced, looks for jobs, and launches the pipelines' templates as the pipelines' service accounts.

resource "google_project_iam_custom_role" "launcher" {
  count = length(local.launched) > 0 ? 1 : 0

  project     = var.project_id
  role_id     = "${local.role_prefix}mirrorLauncher"
  title       = "Cloud SQL Mirror: launcher"
  description = "Launches Dataflow jobs, and sees their state."
  permissions = ["dataflow.jobs.create", "dataflow.jobs.get", "dataflow.jobs.list"]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "launcher" {
  count = length(local.launched) > 0 ? 1 : 0

  project = var.project_id
  role    = "projects/${var.project_id}/roles/${google_project_iam_custom_role.launcher[0].role_id}"
  member  = google_service_account.function["start_loader"].member
}

resource "google_service_account_iam_member" "runs_jobs_as" {
  for_each = toset([for dataflow in local.launched : dataflow.service_account])

  service_account_id = "projects/-/serviceAccounts/${each.value}"
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.function["start_loader"].member
}

# The folders of the pipelines whose jobs it launches. Without the right to list, what is missing would count as forbidden.
resource "google_storage_bucket_iam_member" "records" {
  for_each = { for name in keys(local.launched) : (var.condition_on_prefix ? name : local.pipelines[name].bucket) => local.pipelines[name].bucket... }

  bucket = google_storage_bucket.files[each.value[0]].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["start_loader"].member

  dynamic "condition" {
    for_each = var.condition_on_prefix ? ["projects/_/buckets/${each.value[0]}"] : []
    content {
      title      = "the pipeline's folder"
      expression = "resource.name == \"${condition.value}\" || resource.name.startsWith(\"${condition.value}/objects/${each.key}/\")"
    }
  }
}

resource "google_storage_bucket_iam_member" "template" {
  for_each = toset([for dataflow in local.launched : trimprefix(dataflow.template, "gs://")])

  bucket = split("/", each.value)[0]
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["start_loader"].member

  condition {
    title      = "the template alone"
    expression = "resource.name == \"projects/_/buckets/${replace(each.value, "/^([^/]+)/", "$1/objects")}\""
  }
}
