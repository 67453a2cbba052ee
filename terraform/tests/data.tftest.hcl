# Files, shards and views: where they are, how long they stay, who may read them.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  pipelines = {
    billing = {
      instance       = "my-project:europe-west1:main-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "billing_shards"
      views_dataset  = "billing"
      keep_days      = 400
      export_days    = 60
    }
    orders = {
      instance       = "my-project:europe-west1:main-db"
      database       = "orders"
      bucket         = "my-project-mirror"
      shards_dataset = "orders_shards"
      views_dataset  = "orders"
      keep_days      = 400
    }
  }
  readers   = ["group:analysts@example.com", "user:boss@example.com", "domain:example.org", "principalSet://iam.googleapis.com/x"]
  operators = ["group:oncall@example.com"]
}

run "data_is_in_one_place_private_and_outlives_the_mirror" {
  command = plan

  # A bucket is private and keeps nothing that is replaced.
  assert {
    condition = (
      google_storage_bucket.files["my-project-mirror"].uniform_bucket_level_access &&
      google_storage_bucket.files["my-project-mirror"].public_access_prevention == "enforced"
    )
    error_message = "The bucket can be opened to the public, or object by object."
  }
  assert {
    condition     = google_storage_bucket.files["my-project-mirror"].soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Each day's files would be paid for a week longer."
  }

  # Staging and old exports are cleared by pipeline.
  assert {
    condition = [
      for rule in google_storage_bucket.files["my-project-mirror"].lifecycle_rule :
      "${tolist(rule.condition)[0].age} ${join(" ", tolist(rule.condition)[0].matches_prefix)}"
      ] == [
      "7 billing/_staging/ orders/_staging/",
      "60 billing/",
      "40 orders/",
    ]
    error_message = "The bucket's rules are others."
  }

  # Who may read the views need not be able to read the shards.
  assert {
    condition = alltrue([
      for name, shards in google_bigquery_dataset.shards : contains(
        flatten([for access in shards.access : [for authorised in access.dataset : authorised.dataset[0].dataset_id]]),
        var.pipelines[name].views_dataset,
      )
    ])
    error_message = "A views dataset is not authorised on its shards."
  }
  assert {
    condition = alltrue([
      for views in google_bigquery_dataset.views : toset([
        for access in views.access : trimspace(join(" ", compact([access.group_by_email, access.user_by_email, access.domain, access.iam_member])))
        if access.role == "READER"
      ]) == toset(["analysts@example.com", "boss@example.com", "example.org", "principalSet://iam.googleapis.com/x"])
    ])
    error_message = "Readers may not read a pipeline's views, or others may."
  }
  assert {
    condition = alltrue([
      for dataset in concat(values(google_bigquery_dataset.shards), values(google_bigquery_dataset.views)) :
      toset([for access in dataset.access : access.special_group if access.special_group != null && access.special_group != ""]) == toset(["projectOwners"])
    ])
    error_message = "A dataset is open to everybody who may view or edit the project."
  }

  # refresh_views may change both datasets, of which one authorises the other.
  assert {
    condition = alltrue([
      for dataset in concat(values(google_bigquery_dataset.shards), values(google_bigquery_dataset.views)) :
      contains([for access in dataset.access : access.role], "projects/my-project/roles/mirrorShardKeeper")
    ])
    error_message = "refresh_views has no bigquery.datasets.update on a dataset."
  }

  # People who run the mirror look at descriptions and files, and ask.
  assert {
    condition = alltrue([
      for dataset in concat(values(google_bigquery_dataset.shards), values(google_bigquery_dataset.views)) :
      [for access in dataset.access : access.role if access.group_by_email == "oncall@example.com"] == ["roles/bigquery.metadataViewer"]
    ])
    error_message = "Operators may not see a dataset's tables, or may do more."
  }
  assert {
    condition = (
      toset(keys(google_pubsub_topic_iam_member.operator)) == toset([
        for topic in ["mirror-requests", "view-refreshes", "table-exports", "table-exported"] : "${topic}/group:oncall@example.com"
      ]) &&
      keys(google_pubsub_subscription_iam_member.operator) == ["group:oncall@example.com"] &&
      keys(google_storage_bucket_iam_member.operator) == ["my-project-mirror/group:oncall@example.com"]
    )
    error_message = "Operators may not ask, replay dead letters or read files, or may do more."
  }

  # What a check may remove bears the names of canaries, or is a record of a run.
  assert {
    condition = alltrue([
      for grant in concat(values(google_project_iam_member.checks_tables), values(google_storage_bucket_iam_member.checks_files)) :
      alltrue([
        for clause in split(" || ", one(grant.condition).expression) :
        can(regex("^resource.name.startsWith\\(\"projects/(my-project/datasets/(billing_shards|billing|orders_shards|orders)/tables/mirror_check_|_/buckets/my-project-mirror/objects/(billing|orders)/(mirror_check_|_plans/|_runs/|_staging/))\"\\)$", clause))
      ]) && grant.member == "group:oncall@example.com"
    ]) && length(google_project_iam_member.checks_tables) == 1 && length(google_storage_bucket_iam_member.checks_files) == 1
    error_message = "Operators may remove more than what a check has made."
  }

  # Shards, views, files and the ledger outlive the mirror, and do not stop a destroy.
  assert {
    condition = alltrue([
      for kept in concat(
        values(google_bigquery_dataset.shards)[*].deletion_policy,
        values(google_bigquery_dataset.views)[*].deletion_policy,
        values(google_storage_bucket.files)[*].deletion_policy,
        [google_bigquery_dataset.ops.deletion_policy, google_bigquery_table.ledger.deletion_policy],
      ) : kept == "ABANDON"
    ]) && !google_bigquery_table.ledger.deletion_protection
    error_message = "terraform destroy would delete what has been mirrored, or fail."
  }
}

run "a_key_of_ones_own_is_used_for_all_data_once_google_may_use_it" {
  command = plan

  variables {
    kms_key_name = "projects/my-keys/locations/europe-west1/keyRings/data/cryptoKeys/mirror"
  }

  assert {
    condition = alltrue(concat(
      [for bucket in google_storage_bucket.files : bucket.encryption[0].default_kms_key_name == var.kms_key_name],
      [for shards in google_bigquery_dataset.shards : shards.default_encryption_configuration[0].kms_key_name == var.kms_key_name],
      [for topic in google_pubsub_topic.topic : topic.kms_key_name == var.kms_key_name],
    ))
    error_message = "Something is under Google's key."
  }
  assert {
    condition     = toset(keys(google_kms_crypto_key_iam_member.agent)) == toset(["bigquery", "pubsub", "storage"])
    error_message = "A service may not use the key."
  }
}

run "a_private_address_is_reached_by_list_tables_alone" {
  command = plan

  variables {
    network = {
      network    = "shared"
      subnetwork = "functions"
    }
  }

  assert {
    condition = [
      for name, function in google_cloudfunctions2_function.function :
      name if length(function.service_config[0].direct_vpc_network_interface) > 0
    ] == ["list_tables"]
    error_message = "Another function is in the network, or list_tables is not."
  }
}
