//go:build kubernetes

package kubernetes

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// testPodSecurity submits each container as a pod of its own to namespaces that enforce a level of the Pod Security Standards, and compares
// the verdicts with the table in deploy/README.md.
func (c *cluster) testPodSecurity(t *testing.T) {
	for _, level := range []string{"privileged", "baseline", "restricted"} {
		c.create(t, "/api/v1/namespaces", fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: %[1]s}}}", level))
		await(t, "the service account of "+level, func() error { return c.get("/api/v1/namespaces/"+level+"/serviceaccounts/default", nil) })
	}
	readme, err := os.ReadFile(filepath.Join(c.deploy, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range c.manifests() {
		for _, container := range containersOf(readManifest(t, path)["spec"].(object)) {
			row := fmt.Sprintf("| %s | `%s` |", container["name"], filepath.Base(path))
			want := lastCell(t, string(readme), row)
			got := c.verdict(t, path, container)
			if got != want {
				t.Errorf("%s violates %q; deploy/README.md says %q", row, got, want)
			}
			t.Logf("%s violates %s", row, got)
		}
	}
}

func lastCell(t *testing.T, text, row string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, row) {
			cells := strings.Split(strings.Trim(line, "|\n "), "|")
			return strings.TrimSpace(cells[len(cells)-1])
		}
	}
	t.Fatalf("deploy/README.md has no row %s", row)
	return ""
}

// verdict returns the controls that a container violates, in the words of the table.
func (c *cluster) verdict(t *testing.T, path string, container object) string {
	t.Helper()
	if refused := c.refused(t, "privileged", path, container); len(refused) > 0 {
		t.Errorf("%s %s violates the level privileged: %s", path, container["name"], refused)
	}
	baseline, restricted := c.refused(t, "baseline", path, container), c.refused(t, "restricted", path, container)
	also := slices.DeleteFunc(slices.Clone(restricted), func(s string) bool { return slices.Contains(baseline, s) })
	switch {
	case len(baseline) > 0:
		return "baseline: Capabilities (" + strings.Join(baseline, ", ") + "); restricted: also " + strings.Join(also, ", ")
	case len(also) > 0:
		return "restricted: " + strings.Join(also, ", ")
	}
	return "nothing"
}

var (
	capabilitiesRefused = regexp.MustCompile(`capabilities \(container "[a-z]+" must not include ((?:"[A-Z_]+"(?:, )?)+)`)
	controls            = map[string]string{"runAsNonRoot != true": "Running as Non-root", "runAsUser=0": "Running as Non-root user"}
)

// refused returns what a level refuses: the capabilities, and the names of other controls.
func (c *cluster) refused(t *testing.T, level, path string, container object) (list []string) {
	t.Helper()
	err := c.validate(level, alone(t, path, container["name"].(string)))
	if err == nil {
		return nil
	}
	message := err.Error()
	_, violations, found := strings.Cut(message, `violates PodSecurity "`+level+`:latest": `)
	if !isRefused(err, http.StatusForbidden) || !found {
		t.Fatalf("%s in a namespace that enforces %s: %v", path, level, err)
	}
	if m := capabilitiesRefused.FindStringSubmatch(violations); m != nil {
		list = strings.Split(strings.ReplaceAll(m[1], `"`, ""), ", ")
		violations = strings.Replace(violations, m[0], "", 1)
	}
	for _, text := range []string{"runAsNonRoot != true", "runAsUser=0"} {
		if strings.Contains(violations, text+" (") {
			list = append(list, controls[text])
			violations = strings.Replace(violations, text+" (", "", 1)
		}
	}
	if other := strings.Count(violations, " ("); other > 0 {
		t.Errorf("%s: a violation that the table has no word for: %s", path, message)
	}
	return list
}

// alone returns the manifest of a pod that has one of the containers, as its main one.
func alone(t *testing.T, path, name string) []byte {
	t.Helper()
	manifest := readManifest(t, path)
	spec := manifest["spec"].(object)
	container := named(t, spec, name)
	delete(container, "restartPolicy")
	delete(spec, "initContainers")
	spec["containers"] = []any{container}
	text, err := yaml.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
