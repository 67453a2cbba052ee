# What `mirror check` needs beyond what operators may do anyway: read and delete the shards and views of its canaries, and delete
# their files and the records of their run. No table of a database is called mirror_check_….

resource "google_project_iam_custom_role" "checker" {
  project     = var.project_id
  role_id     = "${local.role_prefix}mirrorChecker"
  title       = "Cloud SQL Mirror: checker"
  description = "Reads and removes what a check has made."
  permissions = [
    "bigquery.tables.delete",
    "bigquery.tables.getData",
    "storage.objects.delete",
  ]

  depends_on = [google_project_service.api]
}

# Conditions on the names of tables are for grants on a project (https://cloud.google.com/bigquery/docs/conditions). One may have
# twelve logical operators, and a member twenty conditions of one role (https://cloud.google.com/iam/quotas).
locals {
  checked_datasets = chunklist(sort(distinct(flatten([for pipeline in local.pipelines : [pipeline.shards_dataset, pipeline.views_dataset]]))), 12)

  # Of a pipeline, there are four folders.
  checked_folders = merge([
    for bucket in distinct([for pipeline in local.pipelines : pipeline.bucket]) : {
      for part, names in chunklist(sort([for name, pipeline in local.pipelines : name if pipeline.bucket == bucket]), 3) :
      "${bucket}/${part}" => { bucket = bucket, part = part, pipelines = names }
    }
  ]...)
}

resource "google_project_iam_member" "checks_tables" {
  for_each = { for pair in setproduct(range(length(local.checked_datasets)), var.operators) : "${pair[0]}/${pair[1]}" => { part = tonumber(pair[0]), member = pair[1] } }

  project = var.project_id
  role    = "projects/${var.project_id}/roles/${google_project_iam_custom_role.checker.role_id}"
  member  = each.value.member

  condition {
    title = "canaries, part ${each.value.part + 1}"
    expression = join(" || ", [
      for dataset in local.checked_datasets[each.value.part] :
      "resource.name.startsWith(\"projects/${var.project_id}/datasets/${dataset}/tables/mirror_check_\")"
    ])
  }
}

# A run's folder is called by its id, so that those of all runs can be deleted; with one goes the record of what was, and no row.
resource "google_storage_bucket_iam_member" "checks_files" {
  for_each = { for pair in setproduct(keys(local.checked_folders), var.operators) : "${pair[0]}/${pair[1]}" => merge(local.checked_folders[pair[0]], { member = pair[1] }) }

  bucket = google_storage_bucket.files[each.value.bucket].name
  role   = "projects/${var.project_id}/roles/${google_project_iam_custom_role.checker.role_id}"
  member = each.value.member

  condition {
    title = "what checks leave, part ${each.value.part + 1}"
    expression = join(" || ", [
      for pair in setproduct(each.value.pipelines, ["mirror_check_", "_plans/", "_runs/", "_staging/"]) :
      "resource.name.startsWith(\"projects/_/buckets/${each.value.bucket}/objects/${pair[0]}/${pair[1]}\")"
    ])
  }
}

# The values of the canaries are read through their views, by a query, which is a job of the project.
resource "google_project_iam_member" "check_runs_queries" {
  for_each = var.operators

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = each.value
}
