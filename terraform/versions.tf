# No provider is configured here: the root's own environment does it, or the module that calls this one.

terraform {
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }
}
