package keeper

import (
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/podnet"
)

// CheckNamespace returns an error if this is the machine's own network namespace, which a pod with hostNetwork has too, unless host allows
// it. If the address were taken there, the machine would lose its connections, such as the one through which podswitch was started.
func CheckNamespace(host bool) error { return checkNamespace(host, podnet.IsInitialNamespace()) }

// checkConfig checks a configuration before anything is changed. A plain learning switch takes no address, so every namespace suits it.
func checkConfig(cfg *Config) error {
	if cfg.Pod == nil {
		return nil
	}
	return CheckNamespace(cfg.Host)
}

func checkNamespace(host, isInitial bool) error {
	if host || !isInitial {
		return nil
	}
	return &missing.Error{What: "connect a guest to the pod's network",
		Need: "the network namespace of a pod, and this one is the machine's own, whose address would be taken from it",
		Give: "in Kubernetes remove hostNetwork: true from the pod; elsewhere start podswitch with ip netns exec or nsenter --net; " +
			"--host if the machine is itself the pod or may lose its address"}
}
