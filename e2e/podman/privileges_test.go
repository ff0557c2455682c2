package podman_test

import (
	"slices"
	"strings"
	"testing"
)

// Privileges of processes, as /proc/PID/status shows them: capabilities by number (CHOWN 0, NET_ADMIN 12, NET_RAW 13), and how many seccomp
// filters there are: the runtime's, and that of the switch's own sandbox.
type privileges struct{ uid, capabilities, filters string }

// none has no capability.
const none = "0000000000000000"

// podPrivileges has the privileges of the processes of each container, without the watchdog. The first one of podswitch's
// containers is a supervisor, which has those of its container. deploy/README.md has the reasons.
var podPrivileges = map[string]map[string][]privileges{
	"sidecar.yaml": {
		"keeper": {{"0", "0000000000003001", "1"}, {"0", "0000000000003001", "1"}},
		"switch": {{"107", none, "1"}, {"107", none, "2"}},
		"qemu":   {{"107", none, "1"}},
	},
	"single.yaml": {
		"podswitch": {{"0", "0000000000003000", "1"}, {"0", "0000000000003000", "1"}, {"0", none, "2"}},
		"qemu":      {{"0", none, "1"}},
	},
}

func checkPrivileges(t *testing.T, p *pod, name string) {
	t.Helper()
	for container, want := range podPrivileges[name] {
		var got []privileges
		for _, process := range p.processes(container) {
			if !watchdog(process) {
				got = append(got, p.privileges(process.pid))
			}
		}
		slices.SortFunc(got, func(a, b privileges) int { return strings.Compare(a.filters+b.capabilities, b.filters+a.capabilities) })
		if !slices.Equal(got, want) {
			t.Errorf("%s has %+v, want %+v", container, got, want)
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
