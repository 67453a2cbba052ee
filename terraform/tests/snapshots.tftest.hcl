# What reads small tables over a connection, where a pipeline asks for that, and nothing of it elsewhere.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  network = {
    network    = "shared"
    subnetwork = "functions"
  }
  pipelines = {
    billing = {
      instance       = "my-shop:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "billing_shards"
      views_dataset  = "billing"
      keep_days      = 400
      small_tables   = "snapshot"
    }
    orders = {
      instance       = "my-shop:europe-west1:orders-db"
      database       = "orders"
      bucket         = "my-project-mirror"
      shards_dataset = "orders_shards"
      views_dataset  = "orders"
      keep_days      = 400
    }
    archive = {
      instance       = "my-project:europe-west1:archive-db"
      database       = "archive"
      user           = "mirror"
      password_file  = "/secrets/archive/password"
      host           = "10.0.0.3:5432"
      ca_file        = "/secrets/archive-ca/ca.pem"
      bucket         = "my-project-mirror"
      shards_dataset = "archive_shards"
      views_dataset  = "archive"
      keep_days      = 400
      small_tables   = "snapshot"
    }
    staff = {
      instance       = "my-project:europe-west1:staff-db"
      database       = "staff"
      user           = "mirror"
      password_file  = "/secrets/staff/password"
      bucket         = "my-project-mirror"
      shards_dataset = "staff_shards"
      views_dataset  = "staff"
      keep_days      = 400
    }
  }
}

run "small_tables_are_read_where_a_pipeline_asks" {
  command = plan

  override_resource {
    target          = google_service_account.function["read_snapshot"]
    override_during = plan
    values = {
      email  = "reader@my-project.iam.gserviceaccount.com"
      member = "serviceAccount:reader@my-project.iam.gserviceaccount.com"
    }
  }

  # A snapshot has no lane and is delivered and dead lettered as ever.
  assert {
    condition = (
      google_pubsub_subscription.push["snapshots"].name == "snapshots-read-snapshot" &&
      !google_pubsub_subscription.push["snapshots"].enable_message_ordering &&
      google_pubsub_subscription.push["snapshots"].ack_deadline_seconds == 600 &&
      google_pubsub_subscription.push["snapshots"].retry_policy[0].maximum_backoff == google_pubsub_subscription.push["table-exported"].retry_policy[0].maximum_backoff
    )
    error_message = "A snapshot is not delivered as an announcement is."
  }
  assert {
    condition     = google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["SNAPSHOTS_TOPIC"] == "projects/my-project/topics/snapshots"
    error_message = "list_tables does not know where to ask for a snapshot."
  }

  # One snapshot an instance and a place for each pipeline that asks.
  assert {
    condition = (
      google_cloudfunctions2_function.function["read_snapshot"].service_config[0].max_instance_request_concurrency == 1 &&
      google_cloudfunctions2_function.function["read_snapshot"].service_config[0].max_instance_count == 3
    )
    error_message = "Two snapshots would share one instance's memory, or a pipeline would wait for another."
  }
  assert {
    condition = (
      tonumber(google_cloudfunctions2_function.function["read_snapshot"].service_config[0].environment_variables["WAIT_BUDGET_SECONDS"])
      < google_pubsub_subscription.push["snapshots"].ack_deadline_seconds
    )
    error_message = "Pub/Sub would deliver a snapshot again that is still read."
  }

  # It publishes what an export does and may not export.
  assert {
    condition = toset([for grant in google_pubsub_topic_iam_member.publisher : grant.topic if grant.member == "serviceAccount:reader@my-project.iam.gserviceaccount.com"]) == toset([
      "dead-letters", "mirror-requests", "run-exported", "run-shown", "table-exported",
    ])
    error_message = "read_snapshot may publish on other topics."
  }
  assert {
    condition = alltrue([
      for grant in concat(values(google_project_iam_member.exporter), values(google_project_iam_member.operations)) :
      grant.member != "serviceAccount:reader@my-project.iam.gserviceaccount.com"
    ])
    error_message = "read_snapshot may export."
  }

  # It connects to these databases alone and logs in as itself.
  assert {
    condition = (
      keys(google_project_iam_member.reader_connects) == ["my-shop:europe-west1:billing-db"] &&
      keys(google_project_iam_member.reader_logs_in) == ["my-shop:europe-west1:billing-db"] &&
      google_project_iam_member.reader_connects["my-shop:europe-west1:billing-db"].condition[0].expression == google_project_iam_member.lister_connects["my-shop:europe-west1:billing-db"].condition[0].expression &&
      google_project_iam_member.reader_logs_in["my-shop:europe-west1:billing-db"].condition[0].expression == google_project_iam_member.lister_logs_in["my-shop:europe-west1:billing-db"].condition[0].expression
    )
    error_message = "read_snapshot reaches other instances than it has to."
  }
  assert {
    condition = (
      google_sql_user.reader["my-shop:europe-west1:billing-db"].name == "mirror-read-snapshot@my-project.iam" &&
      jsondecode(google_cloudfunctions2_function.function["read_snapshot"].service_config[0].environment_variables["PIPELINES"]).billing.user == "mirror-read-snapshot@my-project.iam" &&
      jsondecode(google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["PIPELINES"]).billing.user == "mirror-list-tables@my-project.iam" &&
      jsondecode(google_cloudfunctions2_function.function["read_snapshot"].service_config[0].environment_variables["PIPELINES"]).archive.user == "mirror"
    )
    error_message = "A function logs in as another account than its own."
  }
  assert {
    condition = toset([for volume in google_cloudfunctions2_function.function["read_snapshot"].service_config[0].secret_volumes : volume.mount_path]) == toset([
      "/secrets/archive", "/secrets/archive-ca",
    ])
    error_message = "read_snapshot finds another pipeline's password, or not its own."
  }
  assert {
    condition = (
      keys(google_secret_manager_secret_iam_member.reader_password) == ["archive"] &&
      keys(google_secret_manager_secret_iam_member.reader_ca) == ["archive"]
    )
    error_message = "read_snapshot may read another pipeline's password, or not its own."
  }
  assert {
    condition     = length(google_cloudfunctions2_function.function["read_snapshot"].service_config[0].direct_vpc_network_interface) == 1
    error_message = "read_snapshot does not reach a private address."
  }

  # It sees whether a shard exists and writes files.
  assert {
    condition = [
      for name, shards in google_bigquery_dataset.shards : name if contains(
        [for access in shards.access : "${access.role} ${access.user_by_email}" if access.user_by_email != null],
        "roles/bigquery.metadataViewer reader@my-project.iam.gserviceaccount.com",
      )
    ] == ["archive", "billing"]
    error_message = "read_snapshot does not see shards, or those of other pipelines."
  }
  assert {
    condition     = contains(keys(google_storage_bucket_iam_member.function), "my-project-mirror/read_snapshot")
    error_message = "read_snapshot may not write files."
  }

  # The owners of the tables let both in.
  assert {
    condition = (
      strcontains(output.grants.billing, "GRANT CONNECT ON DATABASE \"billing\" TO \"mirror-list-tables@my-project.iam\", \"mirror-read-snapshot@my-project.iam\", ") &&
      strcontains(output.grants.billing, "GRANT USAGE ON SCHEMA \"public\" TO cloudsqlsuperuser, \"mirror-list-tables@my-project.iam\", \"mirror-read-snapshot@my-project.iam\";") &&
      strcontains(output.grants.archive, "GRANT USAGE ON SCHEMA \"public\" TO cloudsqlsuperuser, \"mirror\";") &&
      strcontains(output.grants.orders, "GRANT USAGE ON SCHEMA \"public\" TO cloudsqlsuperuser;")
    )
    error_message = "The printed SQL lets in others: ${output.grants.billing}"
  }

  # A snapshot that nobody reads is heard of.
  assert {
    condition     = strcontains(google_monitoring_alert_policy.slow_snapshot[0].conditions[0].condition_threshold[0].filter, "\"snapshots-read-snapshot\"")
    error_message = "A snapshot may be an hour behind unseen."
  }
  assert {
    condition     = strcontains(google_monitoring_dashboard.mirror.dashboard_json, "function=\\\"read_snapshot\\\"")
    error_message = "The dashboard does not show how long small tables are read."
  }
}

run "elsewhere_there_is_nothing_of_it" {
  command = plan

  variables {
    pipelines = {
      orders = {
        instance       = "my-shop:europe-west1:orders-db"
        database       = "orders"
        bucket         = "my-project-mirror"
        shards_dataset = "orders_shards"
        views_dataset  = "orders"
        keep_days      = 400
      }
    }
  }

  assert {
    condition     = !contains(keys(output.functions), "read_snapshot") && !contains(keys(google_pubsub_topic.topic), "snapshots")
    error_message = "Something reads snapshots, and nobody asks for them."
  }
  assert {
    condition     = !can(google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["SNAPSHOTS_TOPIC"])
    error_message = "list_tables would ask for snapshots that nobody reads, instead of exporting."
  }
  assert {
    condition     = length(google_sql_user.reader) == 0 && length(google_monitoring_alert_policy.slow_snapshot) == 0
    error_message = "A user or an alert of snapshots is there, and of no use."
  }
}
