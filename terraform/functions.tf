# One entry for each function: what it hears, what it publishes and what it needs. The rest is made from these entries: the
# environment here, the grants to publish in topics.tf, the subscriptions in triggers.tf. The key is the name of the entry
# file and of the function in it.

locals {
  # export_table stops waiting before Pub/Sub gives up on its answer, after 600 s. What it does after the wait (moving the
  # file, announcing it) takes seconds, and may be repeated.
  wait_budget_seconds  = 540
  ack_deadline_seconds = 600

  every_function = {
    list_tables = {
      wanted = true
      hears  = ["mirror-requests"]
      publishes = merge(
        { TABLE_EXPORTS_TOPIC = "table-exports", RUN_EXPORTED_TOPIC = "run-exported", RUN_SHOWN_TOPIC = "run-shown" },
        length(local.by_snapshot) > 0 ? { SNAPSHOTS_TOPIC = "snapshots" } : {},
      )
      environment = {}
      memory      = "1Gi" # the catalog of tens of thousands of tables
      cpu         = "1"
      timeout     = 540
      concurrency = 1
      instances   = length(local.pipelines) + 1 # all schedules may have the same time
    }
    export_table = {
      wanted = true
      hears  = ["table-exports"]
      publishes = {
        TABLE_EXPORTED_TOPIC  = "table-exported"
        MIRROR_REQUESTS_TOPIC = "mirror-requests"
        RUN_EXPORTED_TOPIC    = "run-exported"
        RUN_SHOWN_TOPIC       = "run-shown"
      }
      environment = { WAIT_BUDGET_SECONDS = tostring(local.wait_budget_seconds) }
      memory      = "512Mi"
      cpu         = "1"
      timeout     = local.wait_budget_seconds + 180
      concurrency = 4                           # it waits nearly all of the time
      instances   = length(local.instances) + 1 # so each lane finds a place, however the others are spread
    }
    read_snapshot = {
      wanted = length(local.by_snapshot) > 0
      hears  = ["snapshots"]
      publishes = {
        TABLE_EXPORTED_TOPIC  = "table-exported"
        MIRROR_REQUESTS_TOPIC = "mirror-requests"
        RUN_EXPORTED_TOPIC    = "run-exported"
        RUN_SHOWN_TOPIC       = "run-shown"
      }
      environment = {
        TABLE_EXPORTS_TOPIC = local.topics["table-exports"] # where a table that it gives up is replayed: it does not publish there
        WAIT_BUDGET_SECONDS = tostring(local.wait_budget_seconds)
      }
      memory      = "512Mi" # a table of any size passes through some MiB
      cpu         = "1"
      timeout     = local.wait_budget_seconds + 180
      concurrency = 1                             # one snapshot has the whole processor, and its memory is known
      instances   = length(local.by_snapshot) + 1 # all schedules may have the same time, and a database gets few connections
    }
    load_shard = {
      wanted      = contains(local.loaders, "bigquery")
      hears       = ["table-exported"]
      publishes   = { RUN_EXPORTED_TOPIC = "run-exported", RUN_SHOWN_TOPIC = "run-shown" }
      environment = {}
      memory      = "512Mi"
      cpu         = "1"
      timeout     = local.ack_deadline_seconds # it waits 480 s for a job
      concurrency = 8
      instances   = 10
    }
    refresh_views = {
      wanted      = true
      hears       = concat(["view-refreshes"], var.job_events == "log_sink" ? ["job-events"] : [])
      publishes   = { RUN_EXPORTED_TOPIC = "run-exported", RUN_SHOWN_TOPIC = "run-shown" }
      environment = var.job_events == "log_sink" ? { JOB_EVENTS_TOPIC = local.topics["job-events"] } : {}
      memory      = "512Mi"
      cpu         = "1"
      timeout     = 540 # the most that a function with an event trigger may have
      concurrency = 8
      instances   = 10
    }
    start_loader = {
      wanted      = length(local.launched) > 0
      hears       = ["run-exported"]
      publishes   = {}
      environment = {}
      memory      = "512Mi"
      cpu         = "1"
      timeout     = 120
      concurrency = 1
      instances   = length(local.launched) + 1
    }
  }
  functions = { for name, function in local.every_function : name => function if function.wanted }
}

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = "${var.prefix}mirror-${replace(each.key, "_", "-")}"
  project      = var.project_id
  display_name = "Cloud SQL Mirror: runs ${each.key}"

  depends_on = [google_project_service.api]
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  # Its Cloud Run service has the same name, which cannot have underscores.
  name        = "${var.prefix}${replace(each.key, "_", "-")}"
  project     = var.project_id
  location    = var.region
  description = "Cloud SQL Mirror: ${each.key}"
  labels      = var.labels

  build_config {
    runtime           = "python311"
    entry_point       = each.key
    service_account   = google_service_account.build.id
    docker_repository = google_artifact_registry_repository.images.id

    environment_variables = {
      GOOGLE_FUNCTION_SOURCE = "${each.key}.py"
    }

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_memory                 = each.value.memory
    available_cpu                    = each.value.cpu
    timeout_seconds                  = each.value.timeout
    max_instance_request_concurrency = each.value.concurrency
    max_instance_count               = each.value.instances
    service_account_email            = google_service_account.function[each.key].email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY" # Pub/Sub and Eventarc of this project count as internal

    environment_variables = merge(
      {
        GOOGLE_CLOUD_PROJECT = var.project_id
        PIPELINES            = local.pipelines_json[each.key]
        DEAD_LETTERS_TOPIC   = local.topics["dead-letters"]
        PUBSUB_ENDPOINT      = local.pubsub_endpoint
        # With fewer threads than requests, one request would wait for another's wait to end.
        THREADS = tostring(each.value.concurrency)
        # Otherwise the client of Cloud Storage looks at the bucket, for traces that nobody keeps, at each name without an object.
        DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA = "true"
      },
      { for variable, topic in each.value.publishes : variable => local.topics[topic] },
      contains(local.write_ledger, each.key) ? { OPS_DATASET = google_bigquery_dataset.ops.dataset_id } : {},
      each.value.environment,
    )

    # Only these connect to databases.
    direct_vpc_egress = contains(keys(local.mounted), each.key) && var.network != null ? "VPC_EGRESS_PRIVATE_RANGES_ONLY" : null

    dynamic "direct_vpc_network_interface" {
      for_each = contains(keys(local.mounted), each.key) && var.network != null ? [var.network] : []
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.subnetwork
      }
    }

    dynamic "secret_volumes" {
      for_each = lookup(local.mounted, each.key, {})
      content {
        mount_path = dirname(secret_volumes.key)
        project_id = var.project_id
        secret     = secret_volumes.value
        versions {
          version = "latest"
          path    = basename(secret_volumes.key)
        }
      }
    }
  }

  # The audit log's entry for the end of a BigQuery job. Eventarc cannot filter more than this.
  dynamic "event_trigger" {
    for_each = each.key == "refresh_views" && var.job_events == "eventarc" ? [local.job_events_location] : []
    content {
      event_type            = "google.cloud.audit.log.v1.written"
      trigger_region        = event_trigger.value
      retry_policy          = "RETRY_POLICY_RETRY" # without it a failed event is lost
      service_account_email = google_service_account.events.email

      event_filters {
        attribute = "serviceName"
        value     = "bigquery.googleapis.com"
      }
      event_filters {
        attribute = "methodName"
        value     = "google.cloud.bigquery.v2.JobService.InsertJob"
      }
    }
  }

  lifecycle {
    precondition {
      # base64 has four letters for every three bytes.
      condition     = length(base64encode(local.pipelines_json[each.key])) * 3 / 4 <= 28 * 1024
      error_message = "PIPELINES would have more than 28 KiB, and Cloud Run takes 32 KiB of environment: split the pipelines over two of these modules, each with a prefix."
    }
  }

  depends_on = [google_project_service.api, time_sleep.grants]
}
