package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const deploy = "../../../deploy"

// TestReadme checks that deploy's README.md has all changes, with their reasons.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range append(Markdown(Guest), Markdown(Podman)...) {
		if !strings.Contains(string(text), "\n"+row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}

// TestChanges checks what the changes leave of the manifests: all of podswitch's part but probes and sidecars.
func TestChanges(t *testing.T) {
	for name, containers := range map[string]string{"sidecar.yaml": "keeper switch qemu", "single.yaml": "podswitch qemu"} {
		before, err := Read(filepath.Join(deploy, name))
		if err != nil {
			t.Fatal(err)
		}
		after, err := Read(filepath.Join(deploy, name), Guest, Podman)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range after.spec().items("containers") {
			names = append(names, c["name"].(string))
		}
		if got := strings.Join(names, " "); got != containers {
			t.Errorf("%s: the containers are %s, want %s", name, got, containers)
		}
		for _, c := range before.Containers() {
			for _, field := range []string{"args", "securityContext", "resources", "volumeMounts"} {
				if c["name"] != "qemu" && text(t, Pod{"": c[field]}) != text(t, Pod{"": after.Container(c["name"].(string))[field]}) {
					t.Errorf("%s: %s has other %s than in the manifest", name, c["name"], field)
				}
			}
		}
		checkQEMU(t, name, before.Container("qemu").texts("command"), after.Container("qemu").texts("command"))
		if got := text(t, after); strings.Contains(got, "Probe") || strings.Contains(got, "disk") || strings.Contains(got, "initContainers") {
			t.Errorf("%s: not all changes were made:\n%s", name, got)
		}
	}
}

// checkQEMU checks that QEMU's network is the manifest's.
func checkQEMU(t *testing.T, name string, before, after []string) {
	t.Helper()
	_, want, found := strings.Cut(strings.Join(before, " "), " -netdev ")
	if got := strings.Join(after, " "); !found || !strings.HasSuffix(got, " -netdev "+want) || strings.Count(got, "-accel") != 1 {
		t.Errorf("%s: QEMU's arguments are %s, want the network %s", name, got, want)
	}
}

// TestRunCommand checks that a container that is started again has the privileges of the manifest.
func TestRunCommand(t *testing.T) {
	pod, err := Read(filepath.Join(deploy, "sidecar.yaml"), Guest, Podman)
	if err != nil {
		t.Fatal(err)
	}
	want := "run --detach --pod vm --name vm-keeper --restart always --user 0:0 --cap-drop ALL --read-only --read-only-tmpfs=false" +
		" --security-opt no-new-privileges --cap-add NET_ADMIN --cap-add NET_RAW --cap-add CHOWN --volume state:/run/podswitch/state" +
		" --volume keeper:/run/podswitch/keeper --volume guest:/run/podswitch/guest --memory 64M new:1 keeper --listen=/run/podswitch/keeper/socket"
	if got := strings.Join(pod.RunCommand("keeper", "vm-keeper", "new:1"), " "); !strings.HasPrefix(got, want) {
		t.Errorf("podman %s\nwant\npodman %s ...", got, want)
	}
}

func text(t *testing.T, p Pod) string {
	t.Helper()
	text, err := p.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
