//go:build kubernetes

package kubernetes

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// podsPath is the collection of the pods of the tests.
const podsPath = "/api/v1/namespaces/default/pods"

// manifests returns the paths of the manifests of a pod.
func (c *cluster) manifests() []string {
	return []string{filepath.Join(c.deploy, "sidecar.yaml"), filepath.Join(c.deploy, "single.yaml")}
}

// testManifests has the API server validate the manifests as they are. It refuses fields that it does not know.
func (c *cluster) testManifests(t *testing.T) {
	for _, path := range c.manifests() {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.validate("default", text); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		wrong := strings.Replace(string(text), "  volumes:\n", "  volume:\n", 1)
		if err := c.validate("default", []byte(wrong)); !isRefused(err, http.StatusBadRequest) {
			t.Errorf("%s with an unknown field: %v: want a refusal", path, err)
		}
	}
}

// validate has the API server do all that it does for a new pod, but keep it.
func (c *cluster) validate(namespace string, text []byte) error {
	return c.send(http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All&fieldValidation=Strict", asYAML, text, nil)
}

func isRefused(err error, code int) bool {
	var r *refusal
	return errors.As(err, &r) && r.Code == code
}

// An object is a part of a manifest.
type object = map[string]any

func readManifest(t *testing.T, path string) (manifest object) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &manifest)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return manifest
}

// containersOf returns the containers of a pod's spec, in the order in which they start.
func containersOf(spec object) (list []object) {
	for _, key := range []string{"initContainers", "containers"} {
		all, _ := spec[key].([]any)
		for _, c := range all {
			list = append(list, c.(object))
		}
	}
	return list
}

// named returns the container of a pod's spec with a name.
func named(t *testing.T, spec object, name string) object {
	t.Helper()
	for _, c := range containersOf(spec) {
		if c["name"] == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return nil
}
