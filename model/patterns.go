package model

import "regexp"

// The patterns of KubeVirt's validation, and of Kubernetes' validation where KubeVirt uses it. They are read-only.
var (
	namePattern     = regexp.MustCompile(`^[A-Za-z0-9-_]+$`)
	pciPattern      = regexp.MustCompile(`^[[:xdigit:]]{4}:[[:xdigit:]]{2}:[01][[:xdigit:]]\.[0-7]$`)
	labelPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	portNamePattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)
