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

# Without the right to list, what is missing would count as forbidden, so no condition narrows this to the records of runs.
resource "google_storage_bucket_iam_member" "records" {
  for_each = toset([for name in keys(local.launched) : local.pipelines[name].bucket])

  bucket = google_storage_bucket.files[each.value].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function["start_loader"].member
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
