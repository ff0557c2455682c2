package deploy_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContainersHaveTheDocumentedPrivileges checks that every container meets the restricted Pod Security Standard, except for the users and the capabilities in
// README.md.
func TestContainersHaveTheDocumentedPrivileges(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, name := range manifests(t) {
		p := readManifest(t, name)
		if p.APIVersion != "v1" || p.Kind != "Pod" || p.Metadata.Name == "" {
			t.Errorf("%s: want a Pod with a name", name)
		}
		if p.Spec.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
			t.Errorf("%s: want the runtime's seccomp profile", name)
		}
		for field, value := range map[string]*bool{"automountServiceAccountToken": p.Spec.AutomountServiceAccountToken, "enableServiceLinks": p.Spec.EnableServiceLinks} {
			if value == nil || *value {
				t.Errorf("%s: want %s: false", name, field)
			}
		}
		for _, c := range p.all() {
			t.Run(name+"/"+c.Name, func(t *testing.T) { checkSecurity(t, c.SecurityContext) })
			if row := tableRow(name, c); !strings.Contains(string(readme), row) {
				t.Errorf("README.md lacks a row with the beginning\n%s", row)
			}
			rows++
		}
	}
	if have := len(containerRow.FindAll(readme, -1)); have != rows {
		t.Errorf("README.md's table has %d rows of containers, the manifests have %d", have, rows)
	}
}

// containerRow is the beginning of a row of README.md's table of containers: name, manifest and user.
var containerRow = regexp.MustCompile("(?m)^\\| [a-z]+ \\| `[a-z]+\\.yaml` \\| [0-9]")

func checkSecurity(t *testing.T, s containerSecurity) {
	if !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("drops %v: want ALL", s.Capabilities.Drop)
	}
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		t.Error("want allowPrivilegeEscalation: false")
	}
	if !s.ReadOnlyRootFilesystem {
		t.Error("want readOnlyRootFilesystem: true")
	}
	if s.RunAsUser == nil || s.RunAsGroup == nil {
		t.Fatal("want runAsUser and runAsGroup")
	}
	if s.RunAsNonRoot != (*s.RunAsUser != 0) {
		t.Errorf("runAsNonRoot is %t, runAsUser %d", s.RunAsNonRoot, *s.RunAsUser)
	}
	if *s.RunAsUser != 0 && len(s.Capabilities.Add) > 0 {
		t.Error("adds capabilities, which a container grants to root only")
	}
}

// tableRow returns the beginning of a container's row in README.md.
func tableRow(manifest string, c container) string {
	added := "none"
	if names := c.SecurityContext.Capabilities.Add; len(names) > 0 {
		added = strings.Join(names, ", ")
	}
	return fmt.Sprintf("| %s | `%s` | %d | %s |", c.Name, manifest, *c.SecurityContext.RunAsUser, added)
}

// TestTheKeeperStartsFirst checks that podswitch runs in sidecars, which start before the guest and stop after it, the keeper first.
func TestTheKeeperStartsFirst(t *testing.T) {
	for _, name := range manifests(t) {
		p := readManifest(t, name)
		for i, c := range p.Spec.InitContainers {
			if c.RestartPolicy != "Always" {
				t.Errorf("%s: %s is no sidecar: it ends before the guest starts", name, c.Name)
			}
			if hasCapabilities := len(c.SecurityContext.Capabilities.Add) > 0; hasCapabilities != (i == 0) {
				t.Errorf("%s: %s is number %d: want the container with capabilities to start first, and so to stop last", name, c.Name, i+1)
			}
		}
		if last := p.Spec.InitContainers[len(p.Spec.InitContainers)-1]; last.StartupProbe == nil {
			t.Errorf("%s: %s has no startupProbe: the guest starts before the address is taken", name, last.Name)
		}
	}
}

// TestMemoryIsLimitedAndCPUIsNot checks that every container has a memory limit, from which podswitch derives Go's limit, and none has a CPU limit.
func TestMemoryIsLimitedAndCPUIsNot(t *testing.T) {
	for _, name := range manifests(t) {
		for _, c := range readManifest(t, name).all() {
			r := c.Resources
			if r.Limits["memory"] == "" || r.Limits["memory"] != r.Requests["memory"] || r.Requests["cpu"] == "" {
				t.Errorf("%s: %s: want a memory limit that equals the request, and a CPU request", name, c.Name)
			}
			if r.Limits["cpu"] != "" {
				t.Errorf("%s: %s: a CPU limit stops the network", name, c.Name)
			}
		}
	}
}
