terraform {
  required_providers {
    alicloud = {
      source = "aliyun/alicloud"
    }
  }
}

variable "portcullis" {
  description = "Where the server listens, without a scheme."
  default     = "127.0.0.1:8080"
}

# The access key comes from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET.
provider "alicloud" {
  region                 = "cn-hangzhou"
  protocol               = "HTTPS"
  skip_region_validation = true
  account_type           = "Domestic"

  endpoints {
    ecs = var.portcullis
    vpc = var.portcullis
    sts = var.portcullis
  }
}
