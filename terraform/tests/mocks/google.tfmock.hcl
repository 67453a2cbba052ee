# What Google would answer, so that the tests need no account: they run on the provider's own schema and validation.

mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_data "google_sql_database_instance" {
  defaults = {
    service_account_email_address = "p123456789012-abc@gcp-sa-cloud-sql.iam.gserviceaccount.com"
  }
}

mock_resource "google_service_account" {
  defaults = {
    email  = "mirror@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:mirror@my-project.iam.gserviceaccount.com"
    name   = "projects/my-project/serviceAccounts/mirror@my-project.iam.gserviceaccount.com"
  }
}

mock_resource "google_cloudfunctions2_function" {
  defaults = {
    service_config = {
      uri = "https://function-abc-ew.a.run.app"
    }
  }
}

mock_resource "google_logging_project_sink" {
  defaults = {
    writer_identity = "serviceAccount:service-123456789012@gcp-sa-logging.iam.gserviceaccount.com"
  }
}
