# Who may do what. The whole list of roles, each with its reason, is held by tests/soak/test_terraform.py.

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
  pipelines = {
    billing = {
      instance       = "my-shop:europe-west1:billing-db"
      database       = "billing"
      bucket         = "my-project-mirror"
      shards_dataset = "mirror_shards"
      views_dataset  = "mirror"
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
    }
  }
}

run "everybody_may_do_what_they_need_and_no_more" {
  command = plan

  # An export is all that the mirror may do with an instance.
  assert {
    condition = alltrue([
      for role in google_project_iam_custom_role.exporter :
      role.permissions == toset(["cloudsql.instances.export", "cloudsql.instances.get"])
    ])
    error_message = "The custom role holds more than it needs, or less."
  }
  assert {
    condition     = toset(keys(google_project_iam_custom_role.exporter)) == toset(["my-shop", "my-project"])
    error_message = "A custom role serves its own project only, and each instance's has to have it."
  }
  assert {
    condition = (
      google_project_iam_member.exporter["my-shop:europe-west1:billing-db"].project == "my-shop" &&
      google_project_iam_member.exporter["my-shop:europe-west1:billing-db"].role == "projects/my-shop/roles/mirrorExporter"
    )
    error_message = "The binding is not in the instance's own project."
  }

  # Operations are listed by a right that no condition on an instance would match.
  assert {
    condition = alltrue([
      for project, member in google_project_iam_member.operations :
      member.project == project && member.role == "projects/${project}/roles/mirrorOperations" && length(member.condition) == 0
    ]) && toset(keys(google_project_iam_member.operations)) == toset(["my-shop", "my-project"])
    error_message = "export_table may not list the operations of an instance."
  }
  assert {
    condition = alltrue([
      for role in google_project_iam_custom_role.operations : role.permissions == toset(["cloudsql.instances.get", "cloudsql.instances.list"])
    ])
    error_message = "The role without a condition holds more than it needs, or less."
  }

  # Builds read the bucket that Google copies archives to, and push into one repository.
  assert {
    condition     = google_project_iam_member.build_sources.condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-123456789012-europe-west1\")"
    error_message = "Builds may read ${google_project_iam_member.build_sources.condition[0].expression}."
  }
  assert {
    condition     = google_project_iam_member.build_images.condition[0].expression == "resource.name == \"projects/my-project/locations/europe-west1/repositories/mirror\" || resource.name.startsWith(\"projects/my-project/locations/europe-west1/repositories/mirror/\")"
    error_message = "Builds push elsewhere."
  }
  assert {
    condition     = time_sleep.grants.create_duration == "60s"
    error_message = "A new grant may take a minute."
  }
  assert {
    condition     = toset(keys(time_sleep.grants.triggers)) == toset(["build_images", "build_logs", "build_sources", "ca_archive", "events", "password_archive"])
    error_message = "Functions do not wait for a grant, or not for a new one."
  }

  # What is granted in an instances project holds for that instance alone.
  assert {
    condition = alltrue([
      for member in concat(
        values(google_project_iam_member.exporter),
        values(google_project_iam_member.lister_connects),
        values(google_project_iam_member.lister_logs_in),
      ) :
      can(regex("resource.name == \"projects/${member.project}/instances/(billing|archive)-db\"", member.condition[0].expression))
    ])
    error_message = "A binding reaches other instances."
  }

  # List tables logs in by iam but where a password is set.
  assert {
    condition     = keys(google_sql_user.lister) == ["my-shop:europe-west1:billing-db"]
    error_message = "IAM database users: ${join(", ", keys(google_sql_user.lister))}."
  }
  assert {
    condition = (
      google_sql_user.lister["my-shop:europe-west1:billing-db"].name == "mirror-list-tables@my-project.iam" &&
      google_sql_user.lister["my-shop:europe-west1:billing-db"].type == "CLOUD_IAM_SERVICE_ACCOUNT" &&
      google_sql_user.lister["my-shop:europe-west1:billing-db"].project == "my-shop"
    )
    error_message = "The user is not list_tables' own in the instance's project."
  }
  assert {
    condition     = toset(keys(google_project_iam_member.lister_logs_in)) == toset(keys(google_sql_user.lister))
    error_message = "A database user may not log in, or somebody may who is none."
  }
  assert {
    condition     = jsondecode(google_cloudfunctions2_function.function["list_tables"].service_config[0].environment_variables["PIPELINES"])["billing"].user == "mirror-list-tables@my-project.iam"
    error_message = "list_tables does not know whom to log in as."
  }

  # A secret is there for a password only and for list tables only.
  assert {
    condition     = keys(google_secret_manager_secret.password) == ["archive"]
    error_message = "Secrets: ${join(", ", keys(google_secret_manager_secret.password))}."
  }
  assert {
    condition = keys(google_secret_manager_secret.ca) == ["archive"] && {
      for volume in google_cloudfunctions2_function.function["list_tables"].service_config[0].secret_volumes :
      "${volume.mount_path}/${volume.versions[0].path}" => volume.secret
      } == {
      "/secrets/archive/password"  = "mirror-archive-password"
      "/secrets/archive-ca/ca.pem" = "mirror-archive-ca"
    }
    error_message = "The secrets are not where password_file and ca_file say."
  }
  assert {
    condition = alltrue([
      for name, function in google_cloudfunctions2_function.function :
      name == "list_tables" || length(function.service_config[0].secret_volumes) == 0
    ])
    error_message = "Another function is given the password."
  }

  # A function reaches the folders of pipelines in a bucket and an instance what is staged for its own.
  assert {
    condition = toset([for member in google_storage_bucket_iam_member.function : member.condition[0].expression]) == toset([join(" || ", [
      "resource.name == \"projects/_/buckets/my-project-mirror\"",
      "resource.name.startsWith(\"projects/_/buckets/my-project-mirror/objects/archive/\")",
      "resource.name.startsWith(\"projects/_/buckets/my-project-mirror/objects/billing/\")",
    ])])
    error_message = "A function reaches other objects of a bucket, or not its own."
  }
  assert {
    condition = google_storage_bucket_iam_member.instance["my-project-mirror/my-shop:europe-west1:billing-db"].condition[0].expression == join(" || ", [
      "resource.name == \"projects/_/buckets/my-project-mirror\"",
      "resource.name.startsWith(\"projects/_/buckets/my-project-mirror/objects/billing/_staging/\")",
    ])
    error_message = "An instance writes over what is not its own."
  }

  # An instance reaches the bucket and nothing else.
  assert {
    condition     = length(google_storage_bucket_iam_member.instance) == 2
    error_message = "One binding for each instance and bucket."
  }
  assert {
    condition     = alltrue([for member in google_storage_bucket_iam_member.instance : endswith(member.member, "@gcp-sa-cloud-sql.iam.gserviceaccount.com")])
    error_message = "The bucket is opened to somebody else."
  }

  # A function publishes to its own topics and the dead letters.
  assert {
    condition = toset(keys(google_pubsub_topic_iam_member.publisher)) == toset([
      "list_tables/dead-letters", "list_tables/table-exports", "list_tables/run-exported", "list_tables/run-shown",
      "export_table/dead-letters", "export_table/table-exported", "export_table/mirror-requests", "export_table/run-exported", "export_table/run-shown",
      "load_shard/dead-letters", "load_shard/run-exported", "load_shard/run-shown",
      "refresh_views/dead-letters", "refresh_views/run-exported", "refresh_views/run-shown",
    ])
    error_message = "Publishers: ${join(", ", keys(google_pubsub_topic_iam_member.publisher))}."
  }

  # Functions are called from within and by two accounts only.
  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : function.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"])
    error_message = "A function can be called from the internet."
  }
  assert {
    condition     = toset(keys(google_cloud_run_v2_service_iam_member.push)) == toset(keys(google_cloudfunctions2_function.function))
    error_message = "A function cannot be called, or one that is not there can."
  }
}

run "two_variables_drop_the_conditions" {
  command = plan

  variables {
    condition_on_instance = false
    condition_on_prefix   = false
  }

  assert {
    condition = alltrue([
      for member in concat(
        values(google_project_iam_member.exporter),
        values(google_project_iam_member.lister_connects),
        values(google_project_iam_member.lister_logs_in),
        values(google_storage_bucket_iam_member.function),
        values(google_storage_bucket_iam_member.instance),
      ) : length(member.condition) == 0
    ])
    error_message = "A condition is left."
  }
}

run "a_condition_holds_no_more_operators_than_it_may" {
  command = plan

  variables {
    pipelines = {
      for number in range(23) : "p${number}" => {
        instance       = "my-project:europe-west1:db"
        database       = "db"
        bucket         = "my-project-mirror"
        shards_dataset = "shards_${number}"
        views_dataset  = "views_${number}"
        keep_days      = 400
      }
    }
  }

  assert {
    condition = length(google_storage_bucket_iam_member.instance) == 3 && alltrue([
      for member in concat(values(google_storage_bucket_iam_member.function), values(google_storage_bucket_iam_member.instance)) :
      length(split("||", member.condition[0].expression)) <= 11
    ])
    error_message = "Google would refuse a condition."
  }
  assert {
    condition = length(distinct(flatten([
      for member in google_storage_bucket_iam_member.function : regexall("objects/p[0-9]+/", member.condition[0].expression)
    ]))) == 23
    error_message = "A function cannot reach a pipeline's folder."
  }
}
