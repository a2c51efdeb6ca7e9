# What `terraform apply -var change=true` alters, it alters in place.
variable "change" {
  default = false
}

resource "alicloud_vpc" "main" {
  vpc_name    = var.change ? "main-2" : "main"
  description = var.change ? "" : "The network of the example."
  cidr_block  = "10.0.0.0/16"
  enable_ipv6 = true

  tags = {
    stage = var.change ? "live" : "test"
  }
}

resource "alicloud_vswitch" "main" {
  vswitch_name         = var.change ? "main-2" : "main"
  vpc_id               = alicloud_vpc.main.id
  zone_id              = "cn-hangzhou-a"
  cidr_block           = "10.0.1.0/24"
  ipv6_cidr_block_mask = 7

  tags = {
    stage = var.change ? "live" : "test"
  }
}

resource "alicloud_security_group" "web" {
  security_group_name = var.change ? "web-2" : "web"
  description         = var.change ? "Behind the balancer." : "Web servers."
  vpc_id              = alicloud_vpc.main.id
  inner_access_policy = var.change ? "Drop" : "Accept"

  tags = {
    stage = var.change ? "live" : "test"
    part  = "web"
  }
}

resource "alicloud_security_group" "balancer" {
  security_group_name = "balancer"
  vpc_id              = alicloud_vpc.main.id
}

resource "alicloud_ecs_prefix_list" "partners" {
  prefix_list_name = var.change ? "partners-2" : "partners"
  address_family   = "IPv4"
  max_entries      = 5

  entry {
    cidr        = "198.51.100.0/24"
    description = var.change ? "Spoken with." : "Not yet spoken with."
  }

  entry {
    cidr = var.change ? "203.0.113.128/25" : "203.0.113.0/25"
  }
}

resource "alicloud_security_group_rule" "from_balancer" {
  security_group_id        = alicloud_security_group.web.id
  type                     = "ingress"
  ip_protocol              = "tcp"
  port_range               = "8080/8080"
  priority                 = 1
  source_security_group_id = alicloud_security_group.balancer.id
  description              = var.change ? "What the balancer passes on." : "Balancer."
}

resource "alicloud_security_group_rule" "to_partners" {
  security_group_id = alicloud_security_group.web.id
  type              = "egress"
  ip_protocol       = "tcp"
  port_range        = "443/443"
  policy            = "accept"
  priority          = 10
  prefix_list_id    = alicloud_ecs_prefix_list.partners.id
}

resource "alicloud_security_group_rule" "nowhere_else" {
  security_group_id = alicloud_security_group.web.id
  type              = "egress"
  ip_protocol       = "all"
  port_range        = "-1/-1"
  policy            = "drop"
  priority          = 100
  cidr_ip           = "0.0.0.0/0"
  description       = var.change ? "Everything else stays." : "Everything else."
}

resource "alicloud_security_group_rule" "ping6" {
  security_group_id = alicloud_security_group.web.id
  type              = "ingress"
  ip_protocol       = "icmpv6"
  port_range        = "-1/-1"
  priority          = 1
  ipv6_cidr_ip      = "2001:db8:0:100::/56"
}

resource "alicloud_ecs_network_interface" "web" {
  network_interface_name = var.change ? "web-2" : "web"
  description            = var.change ? "Second." : "First."
  vswitch_id             = alicloud_vswitch.main.id
  security_group_ids     = var.change ? [alicloud_security_group.web.id, alicloud_security_group.balancer.id] : [alicloud_security_group.web.id]
  primary_ip_address     = "10.0.1.10"
  private_ip_addresses   = var.change ? ["10.0.1.12", "10.0.1.13"] : ["10.0.1.11", "10.0.1.12"]
  source_dest_check      = true

  tags = {
    stage = var.change ? "live" : "test"
  }
}

data "alicloud_security_groups" "all" {
  vpc_id     = alicloud_vpc.main.id
  depends_on = [alicloud_security_group.web, alicloud_security_group.balancer]
}

data "alicloud_security_group_rules" "egress" {
  group_id   = alicloud_security_group.web.id
  direction  = "egress"
  depends_on = [alicloud_security_group_rule.to_partners, alicloud_security_group_rule.nowhere_else]
}
