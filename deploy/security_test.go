package deploy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSecurityContexts wants of every container what the restricted Pod Security Standard wants, but for root and the capabilities
// that README.md names and gives reasons for.
func TestSecurityContexts(t *testing.T) {
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
		for what, said := range map[string]*bool{"automountServiceAccountToken": p.Spec.AutomountServiceAccountToken, "enableServiceLinks": p.Spec.EnableServiceLinks} {
			if said == nil || *said {
				t.Errorf("%s: want %s: false", name, what)
			}
		}
		for _, c := range p.all() {
			t.Run(name+"/"+c.Name, func(t *testing.T) { checkSecurity(t, c.SecurityContext) })
			if row := tableRow(name, c); !strings.Contains(string(readme), row) {
				t.Errorf("README.md has no row that begins with\n%s", row)
			}
			rows++
		}
	}
	if have := strings.Count(string(readme), ".yaml` | "); have != rows {
		t.Errorf("README.md's table has %d rows of containers, the manifests have %d", have, rows)
	}
}

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
		t.Error("adds capabilities that no program of an ordinary user gets")
	}
}

// tableRow is how the row of a container begins in README.md.
func tableRow(manifest string, c container) string {
	added := "none"
	if names := c.SecurityContext.Capabilities.Add; len(names) > 0 {
		added = strings.Join(names, ", ")
	}
	return fmt.Sprintf("| %s | `%s` | %d | %s |", c.Name, manifest, *c.SecurityContext.RunAsUser, added)
}

// TestOrder wants sidecars, which begin before the guest and end after it, keepers first.
func TestOrder(t *testing.T) {
	for _, name := range manifests(t) {
		p := readManifest(t, name)
		for i, c := range p.Spec.InitContainers {
			if c.RestartPolicy != "Always" {
				t.Errorf("%s: %s is no sidecar: it would have to end before the guest begins", name, c.Name)
			}
			if keeps := len(c.SecurityContext.Capabilities.Add) > 0; keeps != (i == 0) {
				t.Errorf("%s: %s is number %d: want the one that gives the address back to be the first, and so the last to end", name, c.Name, i+1)
			}
		}
		if last := p.Spec.InitContainers[len(p.Spec.InitContainers)-1]; last.StartupProbe == nil {
			t.Errorf("%s: %s has no startupProbe: the guest would begin before the address is taken", name, last.Name)
		}
	}
}

// TestResources wants a limit of memory for all, because Go's own follows from it, and none of the processor for those who switch.
func TestResources(t *testing.T) {
	for _, name := range manifests(t) {
		for _, c := range readManifest(t, name).all() {
			r := c.Resources
			if r.Limits["memory"] == "" || r.Limits["memory"] != r.Requests["memory"] || r.Requests["cpu"] == "" {
				t.Errorf("%s: %s: want the memory's limit to be its request, and a request of the processor", name, c.Name)
			}
			if r.Limits["cpu"] != "" {
				t.Errorf("%s: %s: a limit of the processor stops the network", name, c.Name)
			}
		}
	}
}
