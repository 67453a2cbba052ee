# The APIs that the mirror uses. They stay enabled when it is destroyed, because others may use them.

resource "google_project_service" "api" {
  for_each = toset(concat(contains(local.loaders, "scio") ? ["dataflow.googleapis.com"] : [], [
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
  ]))

  project            = var.project_id
  service            = each.value
  disable_on_destroy = false
}

# The names of Google's service agents have the project's number.
data "google_project" "this" {
  project_id = var.project_id
}

# The agents of Cloud Storage and BigQuery come to be when they are asked for.
data "google_storage_project_service_account" "this" {
  count = var.kms_key_name == null ? 0 : 1

  project = var.project_id

  depends_on = [google_project_service.api]
}

data "google_bigquery_default_service_account" "this" {
  count = var.kms_key_name == null ? 0 : 1

  project = var.project_id

  depends_on = [google_project_service.api]
}

locals {
  # It comes to be when Pub/Sub is first used, or by a command of terraform/README.md.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  encrypting_agents = var.kms_key_name == null ? {} : {
    bigquery = data.google_bigquery_default_service_account.this[0].member
    pubsub   = local.pubsub_agent
    storage  = data.google_storage_project_service_account.this[0].member
  }
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.encrypting_agents

  crypto_key_id = var.kms_key_name
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value

  depends_on = [google_project_service.api]
}
