package deploy_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"
)

// A pod is a manifest, with the fields of Pod v1 that these manifests use (Kubernetes API reference). Any other field is an error. This
// excludes hostNetwork, privileged, hostPath and devices on purpose.
type pod struct {
	APIVersion string                `json:"apiVersion"`
	Kind       string                `json:"kind"`
	Metadata   struct{ Name string } `json:"metadata"`
	Spec       podSpec               `json:"spec"`
}

type podSpec struct {
	AutomountServiceAccountToken  *bool       `json:"automountServiceAccountToken"`
	EnableServiceLinks            *bool       `json:"enableServiceLinks"`
	TerminationGracePeriodSeconds int         `json:"terminationGracePeriodSeconds"`
	SecurityContext               podSecurity `json:"securityContext"`
	InitContainers                []container `json:"initContainers"`
	Containers                    []container `json:"containers"`
	Volumes                       []volume    `json:"volumes"`
}

type podSecurity struct {
	SeccompProfile struct {
		Type string `json:"type"`
	} `json:"seccompProfile"`
	FSGroup int `json:"fsGroup"`
}

type container struct {
	Name            string            `json:"name"`
	Image           string            `json:"image"`
	RestartPolicy   string            `json:"restartPolicy"`
	Command         []string          `json:"command"`
	Args            []string          `json:"args"`
	SecurityContext containerSecurity `json:"securityContext"`
	Resources       struct {
		Requests map[string]string `json:"requests"`
		Limits   map[string]string `json:"limits"`
	} `json:"resources"`
	VolumeMounts  []mount `json:"volumeMounts"`
	StartupProbe  *probe  `json:"startupProbe"`
	LivenessProbe *probe  `json:"livenessProbe"`
}

type containerSecurity struct {
	RunAsUser                *int  `json:"runAsUser"`
	RunAsGroup               *int  `json:"runAsGroup"`
	RunAsNonRoot             bool  `json:"runAsNonRoot"`
	AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
	Capabilities             struct {
		Drop []string `json:"drop"`
		Add  []string `json:"add"`
	} `json:"capabilities"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

// A probe has only exec, because a probe of the pod's address reaches the guest.
type probe struct {
	Exec struct {
		Command []string `json:"command"`
	} `json:"exec"`
	PeriodSeconds    int `json:"periodSeconds"`
	TimeoutSeconds   int `json:"timeoutSeconds"`
	FailureThreshold int `json:"failureThreshold"`

	TerminationGracePeriodSeconds int `json:"terminationGracePeriodSeconds"`
}

type volume struct {
	Name     string `json:"name"`
	EmptyDir *struct {
		Medium    string `json:"medium"`
		SizeLimit string `json:"sizeLimit"`
	} `json:"emptyDir"`
	PersistentVolumeClaim *struct {
		ClaimName string `json:"claimName"`
	} `json:"persistentVolumeClaim"`
}

// kustomization is no manifest: it lists those that kubectl applies with the folder.
const kustomization = "kustomization.yaml"

// manifests returns the names of all manifests.
func manifests(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == kustomization })
	if len(names) == 0 {
		t.Fatal("no manifests")
	}
	return names
}

func readManifest(t *testing.T, name string) pod {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var p pod
	if err := yaml.UnmarshalStrict(text, &p); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return p
}

// all returns the pod's containers in the order in which they start.
func (p pod) all() []container { return slices.Concat(p.Spec.InitContainers, p.Spec.Containers) }

func (p pod) container(t *testing.T, name string) container {
	t.Helper()
	for _, c := range p.all() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return container{}
}

// commands returns the arguments of each podswitch that a container and its probes run.
func (c container) commands() (lines [][]string) {
	if len(c.Command) == 0 {
		lines = append(lines, c.Args)
	}
	for _, p := range []*probe{c.StartupProbe, c.LivenessProbe} {
		if p != nil {
			lines = append(lines, p.Exec.Command[1:])
		}
	}
	return lines
}
