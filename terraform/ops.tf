# What became of each table of each run, for people to query. The functions make the table too, where it is missing.

locals {
  # Whoever writes down how a run's last table ended writes the ledger.
  write_ledger = setintersection(keys(local.functions), ["list_tables", "export_table", "read_snapshot", "load_shard", "refresh_views"])

  # As shared/runs/ledger.py has them.
  ledger_columns = [
    { name = "run_id", type = "STRING", mode = "NULLABLE", description = "The run: the message id of its request." },
    { name = "pipeline", type = "STRING", mode = "NULLABLE", description = "The pipeline." },
    { name = "schema", type = "STRING", mode = "NULLABLE", description = "The table's schema at the source." },
    { name = "table", type = "STRING", mode = "NULLABLE", description = "The table at the source." },
    { name = "table_id", type = "STRING", mode = "NULLABLE", description = "What its view and its shards are called by." },
    { name = "outcome", type = "STRING", mode = "NULLABLE", description = "shown, failed, skipped or held." },
    { name = "reason", type = "STRING", mode = "NULLABLE", description = "Why it is not shown." },
    { name = "snapshot", type = "STRING", mode = "NULLABLE", description = "Tables that have it in common were read at one moment." },
    { name = "shard_date", type = "DATE", mode = "NULLABLE", description = "The day." },
    { name = "row_count", type = "INT64", mode = "NULLABLE", description = "Rows of the shard." },
    { name = "bytes", type = "INT64", mode = "NULLABLE", description = "Bytes of the data file." },
    { name = "exported_at", type = "TIMESTAMP", mode = "NULLABLE", description = "The moment that the rows are of." },
    { name = "shown_at", type = "TIMESTAMP", mode = "NULLABLE", description = "When the view showed the shard." },
    { name = "lost_columns", type = "STRING", mode = "REPEATED", description = "What those who query the view have lost by it." },
  ]
}

# All access to it is given here.
resource "google_bigquery_dataset" "ops" {
  #checkov:skip=CKV_GCP_81:A key of your own is a choice, kms_key_name
  dataset_id      = "${local.role_prefix}mirror_ops"
  project         = var.project_id
  location        = var.region
  description     = "Cloud SQL Mirror: what became of each table of each run."
  labels          = var.labels
  deletion_policy = "ABANDON" # the ledger outlives the mirror

  access {
    role          = "OWNER"
    special_group = "projectOwners"
  }

  # They append to the ledger.
  dynamic "access" {
    for_each = setintersection(keys(local.functions), ["list_tables", "export_table", "read_snapshot", "load_shard", "refresh_views"])
    content {
      role          = "WRITER"
      user_by_email = google_service_account.function[access.value].email
    }
  }

  dynamic "access" {
    for_each = [for member in var.operators : local.members[member]]
    content {
      role           = "READER"
      group_by_email = access.value.group
      user_by_email  = access.value.user
      domain         = access.value.domain
      iam_member     = access.value.other
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

resource "google_bigquery_table" "ledger" {
  #checkov:skip=CKV_GCP_80:Its dataset has the key
  #checkov:skip=CKV_GCP_121:Terraform abandons it, and does not delete it
  dataset_id          = google_bigquery_dataset.ops.dataset_id
  project             = var.project_id
  table_id            = "ledger"
  description         = "Cloud SQL Mirror: a line for each table of each run that is over, and one more where a table has come to another end since."
  labels              = var.labels
  schema              = jsonencode(local.ledger_columns)
  deletion_policy     = "ABANDON" # its lines are nowhere else
  deletion_protection = false     # which would stop terraform destroy
}

resource "google_bigquery_table" "freshness" {
  #checkov:skip=CKV_GCP_80:Views hold no data
  #checkov:skip=CKV_GCP_121:It can be made again
  dataset_id          = google_bigquery_dataset.ops.dataset_id
  project             = var.project_id
  table_id            = "freshness"
  description         = "Cloud SQL Mirror: how fresh each view is, and what came of its table at last."
  labels              = var.labels
  deletion_protection = false

  view {
    query          = templatefile("${path.module}/freshness.sql.tftpl", { ledger = "${var.project_id}.${google_bigquery_dataset.ops.dataset_id}.${google_bigquery_table.ledger.table_id}" })
    use_legacy_sql = false
  }
}

# The lines come by a load job, and jobs belong to the project. The loader of shards may run them anyway.
resource "google_project_iam_member" "ledger_runs_jobs" {
  for_each = setintersection(keys(local.functions), ["list_tables", "export_table", "read_snapshot", "refresh_views"])

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.function[each.value].member
}
