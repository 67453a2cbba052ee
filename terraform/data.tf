# The bucket and the datasets. All of a pipeline is in one location, because BigQuery's loads require it.

resource "google_storage_bucket" "files" {
  for_each = local.buckets

  #checkov:skip=CKV_GCP_62:Audit logs say who reads what, if a project has them on
  #checkov:skip=CKV_GCP_63:It keeps no log of access, in itself or elsewhere
  #checkov:skip=CKV_GCP_78:A replaced file is of no use, because its rows are in the shards
  name     = each.key
  project  = var.project_id
  location = local.locations[each.value.pipelines[0]]
  labels   = var.labels

  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true
  deletion_policy             = "ABANDON" # its files outlive the mirror

  # Otherwise files that are replaced each day would be kept, and charged, a week longer.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  # Files of exports that never ended, or that no delivery took up again.
  lifecycle_rule {
    condition {
      age            = 7
      matches_prefix = [for pipeline in each.value.pipelines : "${pipeline}/_staging/"]
    }
    action {
      type = "Delete"
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.pipelines
    content {
      condition {
        age            = local.pipelines[lifecycle_rule.value].export_days
        matches_prefix = ["${lifecycle_rule.value}/"]
      }
      action {
        type = "Delete"
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agent, google_project_service.api]
}

# Whoever is granted a role on a bucket reaches the folders of pipelines there, and nothing else that the bucket holds. To
# list is a permission on the bucket itself, whose name has no folder in it, so all names can be listed. A condition may hold
# twelve logical operators (https://cloud.google.com/iam/quotas), so ten folders go together. The first ten are at the address
# that one grant for all had.
locals {
  folders_of_functions = merge([
    for bucket, held in local.buckets : {
      for index, pipelines in chunklist(held.pipelines, local.folders_together) :
      join("/", concat([bucket], index == 0 ? [] : [index])) => { bucket = bucket, folders = pipelines }
    }
  ]...)

  # An instance writes what is staged, and nothing that has its final name.
  folders_of_instances = merge([
    for place, names in { for name, p in local.pipelines : "${p.bucket}/${p.instance}" => name... } : {
      for index, pipelines in chunklist(names, local.folders_together) :
      join("/", concat([place], index == 0 ? [] : [index])) => {
        bucket   = local.pipelines[names[0]].bucket
        instance = local.pipelines[names[0]].instance
        folders  = [for pipeline in pipelines : "${pipeline}/_staging"]
      }
    }
  ]...)

  folders_together = var.condition_on_prefix ? 10 : length(local.pipelines)
}

# The functions write, read, replace, move and delete files and records. They do not change a bucket's settings.
resource "google_storage_bucket_iam_member" "function" {
  for_each = {
    for pair in setproduct(keys(local.folders_of_functions), setintersection(keys(local.functions), ["list_tables", "export_table", "read_snapshot", "load_shard", "refresh_views"])) :
    "${pair[0]}/${pair[1]}" => merge(local.folders_of_functions[pair[0]], { function = pair[1] })
  }

  bucket = google_storage_bucket.files[each.value.bucket].name
  role   = "roles/storage.objectUser"
  member = google_service_account.function[each.value.function].member

  dynamic "condition" {
    for_each = var.condition_on_prefix ? [each.value.folders] : []
    content {
      title = "the pipelines' folders"
      expression = join(" || ", concat(
        ["resource.name == \"projects/_/buckets/${each.value.bucket}\""],
        [for folder in condition.value : "resource.name.startsWith(\"projects/_/buckets/${each.value.bucket}/objects/${folder}/\")"],
      ))
    }
  }
}

# Cloud SQL requires this role: to create objects is not enough, because an export deletes objects too.
resource "google_storage_bucket_iam_member" "instance" {
  for_each = local.folders_of_instances

  bucket = google_storage_bucket.files[each.value.bucket].name
  role   = "roles/storage.objectAdmin"
  member = "serviceAccount:${data.google_sql_database_instance.source[each.value.instance].service_account_email_address}"

  dynamic "condition" {
    for_each = var.condition_on_prefix ? [each.value.folders] : []
    content {
      title = "what is staged"
      expression = join(" || ", concat(
        ["resource.name == \"projects/_/buckets/${each.value.bucket}\""],
        [for folder in condition.value : "resource.name.startsWith(\"projects/_/buckets/${each.value.bucket}/objects/${folder}/\")"],
      ))
    }
  }
}

# People look at files and at the records of runs.
resource "google_storage_bucket_iam_member" "operator" {
  for_each = { for pair in setproduct(keys(local.buckets), var.operators) : "${pair[0]}/${pair[1]}" => { bucket = pair[0], member = pair[1] } }

  bucket = google_storage_bucket.files[each.value.bucket].name
  role   = "roles/storage.objectViewer"
  member = each.value.member
}

resource "google_storage_bucket_iam_member" "scio" {
  for_each = local.scio_workers

  bucket = google_storage_bucket.files[local.pipelines[each.key].bucket].name
  role   = "roles/storage.objectViewer"
  member = "serviceAccount:${each.value}"

  dynamic "condition" {
    for_each = var.condition_on_prefix ? ["projects/_/buckets/${local.pipelines[each.key].bucket}"] : []
    content {
      title      = "the pipeline's folder"
      expression = "resource.name == \"${condition.value}\" || resource.name.startsWith(\"${condition.value}/objects/${each.key}/\")"
    }
  }
}

# All access to a shards dataset is given here. The provider's IAM resources for datasets would remove the views'
# authorisation. What is granted elsewhere is removed at the next apply.
resource "google_bigquery_dataset" "shards" {
  for_each = local.pipelines

  #checkov:skip=CKV_GCP_81:A key of your own is a choice, kms_key_name
  dataset_id      = each.value.shards_dataset
  project         = var.project_id
  location        = local.locations[each.key]
  description     = "Cloud SQL Mirror: the tables of ${each.value.database} on ${each.value.instance}, one for each day. Query the views in ${each.value.views_dataset} instead."
  labels          = var.labels
  deletion_policy = "ABANDON" # shards outlive the mirror

  max_time_travel_hours = local.time_travel_hours

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }

  # Those who may read the views need no access to the shards.
  access {
    dataset {
      target_types = ["VIEWS"]
      dataset {
        project_id = var.project_id
        dataset_id = google_bigquery_dataset.views[each.key].dataset_id
      }
    }
  }

  # export_table and read_snapshot look whether a shard exists, list_tables whether the dataset ignores case.
  dynamic "access" {
    for_each = concat(["export_table", "list_tables"], contains(keys(local.by_snapshot), each.key) ? ["read_snapshot"] : [])
    content {
      role          = "roles/bigquery.metadataViewer"
      user_by_email = google_service_account.function[access.value].email
    }
  }

  access {
    role          = "projects/${var.project_id}/roles/${google_project_iam_custom_role.shard_keeper.role_id}"
    user_by_email = google_service_account.function["refresh_views"].email
  }

  dynamic "access" {
    for_each = [for member in var.operators : local.members[member]]
    content {
      role           = "roles/bigquery.metadataViewer"
      group_by_email = access.value.group
      user_by_email  = access.value.user
      domain         = access.value.domain
      iam_member     = access.value.other
    }
  }

  # WRITER is what BigQuery calls roles/bigquery.dataEditor here.
  dynamic "access" {
    for_each = each.value.loader == "bigquery" ? [google_service_account.function["load_shard"].email] : [
      for name, worker in local.scio_workers : worker if name == each.key
    ]
    content {
      role          = "WRITER"
      user_by_email = access.value
    }
  }

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }

  depends_on = [google_kms_crypto_key_iam_member.agent, google_project_service.api]
}

# To make or move a view in an authorised dataset, an account has to be allowed to change a dataset, and to read what the view
# shows. Google's pages name the dataset of the views (https://cloud.google.com/bigquery/docs/managing-views) and the one that
# authorises it (https://cloud.google.com/bigquery/docs/authorized-datasets): it has the role on both. With it, it cannot change
# the access of others.
resource "google_project_iam_custom_role" "shard_keeper" {
  project     = var.project_id
  role_id     = "${local.role_prefix}mirrorShardKeeper"
  title       = "Cloud SQL Mirror: shard keeper"
  description = "Points views at shards, and lets shards expire."
  permissions = [
    "bigquery.datasets.get",
    "bigquery.datasets.update",
    "bigquery.tables.get",
    "bigquery.tables.getData",
    "bigquery.tables.list",
    "bigquery.tables.update",
  ]

  depends_on = [google_project_service.api]
}

# Views have a dataset of their own, because a view among the shards would break every wildcard query on them. All access to it
# is given here: without a list, everybody with the basic role Viewer could read every view.
resource "google_bigquery_dataset" "views" {
  for_each = local.pipelines

  #checkov:skip=CKV_GCP_15:Access is given below, and readers cannot be everybody
  #checkov:skip=CKV_GCP_81:Views hold no data
  dataset_id      = each.value.views_dataset
  project         = var.project_id
  location        = local.locations[each.key]
  description     = "Cloud SQL Mirror: ${each.value.database} on ${each.value.instance}, each table as of its newest shard."
  labels          = var.labels
  deletion_policy = "ABANDON" # the labels and SQL that people have put on views stay

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }

  # It makes and moves views.
  access {
    role          = "WRITER"
    user_by_email = google_service_account.function["refresh_views"].email
  }
  access {
    role          = "projects/${var.project_id}/roles/${google_project_iam_custom_role.shard_keeper.role_id}"
    user_by_email = google_service_account.function["refresh_views"].email
  }

  # It looks whether the dataset ignores case.
  access {
    role          = "roles/bigquery.metadataViewer"
    user_by_email = google_service_account.function["list_tables"].email
  }

  # READER is what BigQuery calls roles/bigquery.dataViewer here.
  dynamic "access" {
    for_each = [for member in var.readers : local.members[member]]
    content {
      role           = "READER"
      group_by_email = access.value.group
      user_by_email  = access.value.user
      domain         = access.value.domain
      iam_member     = access.value.other
    }
  }

  dynamic "access" {
    for_each = [for member in var.operators : local.members[member]]
    content {
      role           = "roles/bigquery.metadataViewer"
      group_by_email = access.value.group
      user_by_email  = access.value.user
      domain         = access.value.domain
      iam_member     = access.value.other
    }
  }

  depends_on = [google_project_service.api]
}

# The list above has taken the place of these. It gives the same access, so nothing is taken away between the two.
removed {
  from = google_bigquery_dataset_iam_member.refresh_views

  lifecycle {
    destroy = false
  }
}

removed {
  from = google_bigquery_dataset_iam_member.list_tables

  lifecycle {
    destroy = false
  }
}

removed {
  from = google_bigquery_dataset_iam_member.reader

  lifecycle {
    destroy = false
  }
}

# A load is a job, and jobs belong to the project.
resource "google_project_iam_member" "load_shard_runs_jobs" {
  count = contains(keys(local.functions), "load_shard") ? 1 : 0

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.function["load_shard"].member
}

# An audit log entry may be too long to say what its job did. Then refresh_views reads the job, which anybody may have run.
resource "google_project_iam_custom_role" "job_reader" {
  project     = var.project_id
  role_id     = "${local.role_prefix}mirrorJobReader"
  title       = "Cloud SQL Mirror: job reader"
  description = "Looks at a BigQuery job."
  permissions = ["bigquery.jobs.get"]

  depends_on = [google_project_service.api]
}

resource "google_project_iam_member" "refresh_views_reads_jobs" {
  project = var.project_id
  role    = "projects/${var.project_id}/roles/${google_project_iam_custom_role.job_reader.role_id}"
  member  = google_service_account.function["refresh_views"].member
}

locals {
  time_travel_hours = 168 # BigQuery's default: for so long can a shard that has expired be had back

  role_prefix = replace(var.prefix, "-", "_")

  # IAM members as the access list of a dataset has them.
  members = {
    for member in setunion(var.readers, var.operators) : member => {
      group  = one([for email in [trimprefix(member, "group:")] : email if email != member])
      user   = one([for email in [replace(member, "/^(user|serviceAccount):/", "")] : email if email != member])
      domain = one([for name in [trimprefix(member, "domain:")] : name if name != member])
      other  = can(regex("^(group|user|serviceAccount|domain):", member)) ? null : member
    }
  }
}
