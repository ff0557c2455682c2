package podman_test

import (
	"strings"
	"testing"
)

// Privileges of processes, as /proc/PID/status shows them: capabilities by number (CHOWN 0, NET_ADMIN 12, NET_RAW 13), and how many seccomp
// filters there are: the runtime's, and that of the switch's own sandbox.
type privileges struct{ uid, capabilities, filters string }

// podPrivileges has the privileges of each container's processes; a manifest's README.md has the reasons.
var podPrivileges = map[string]map[string]privileges{
	"sidecar.yaml": {
		"keeper": {"0", "0000000000003001", "1"},
		"switch": {"107", "0000000000000000", "2"},
		"qemu":   {"107", "0000000000000000", "1"},
	},
	"single.yaml": {
		"podswitch": {"0", "0000000000003000", "1"},
		"qemu":      {"0", "0000000000000000", "1"},
	},
}

// checkPrivileges checks the first process of each container, and the switch of podswitch run.
func checkPrivileges(t *testing.T, p *pod, name string) {
	t.Helper()
	for container, want := range podPrivileges[name] {
		if got := p.privileges(p.pid("vm-" + container)); got != want {
			t.Errorf("%s has %+v, want %+v", container, got, want)
		}
	}
	if name == "single.yaml" {
		if got := p.privileges(p.switchProcess().pid); got != (privileges{"0", "0000000000000000", "2"}) {
			t.Errorf("the switch has %+v", got)
		}
	}
}

func (p *pod) privileges(pid string) (list privileges) {
	p.t.Helper()
	status := map[string]string{}
	for line := range strings.Lines(inNode(p.t, "cat", "/proc/"+pid+"/status")) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.TrimSpace(value)
	}
	if status["NoNewPrivs"] != "1" {
		p.t.Errorf("process %s has NoNewPrivs %s", pid, status["NoNewPrivs"])
	}
	uid, _, _ := strings.Cut(status["Uid"], "\t")
	return privileges{uid, status["CapEff"], status["Seccomp_filters"]}
}
