package deploy_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestVolumesAreMountedAndSmall checks that every mounted volume exists, every volume is mounted, and the volumes of podswitch are small and in memory.
func TestVolumesAreMountedAndSmall(t *testing.T) {
	for _, name := range manifests(t) {
		p := readManifest(t, name)
		mounted := map[string]bool{}
		for _, c := range p.all() {
			for _, m := range c.VolumeMounts {
				mounted[m.Name] = true
				if !slices.ContainsFunc(p.Spec.Volumes, func(v volume) bool { return v.Name == m.Name }) {
					t.Errorf("%s: %s mounts %s, which does not exist", name, c.Name, m.Name)
				}
			}
		}
		for _, v := range p.Spec.Volumes {
			if !mounted[v.Name] {
				t.Errorf("%s: no container mounts %s", name, v.Name)
			}
			if v.PersistentVolumeClaim == nil && (v.EmptyDir == nil || v.EmptyDir.Medium != "Memory" || v.EmptyDir.SizeLimit == "") {
				t.Errorf("%s: %s: want a memory volume with a size limit", name, v.Name)
			}
		}
	}
}

// TestOnlyUsersOfASocketMountItsVolume checks that every socket is at the top of a volume that only the users of the socket mount.
func TestOnlyUsersOfASocketMountItsVolume(t *testing.T) {
	users := map[string]map[string][]string{
		"sidecar.yaml": {
			"/run/podswitch/keeper/socket":       {"keeper", "switch"},
			"/run/podswitch/keeper/control.sock": {"keeper", "switch"},
			"/run/podswitch/guest/socket":        {"keeper", "qemu"},
			"/run/podswitch/state/keeper.sock":   {"keeper"},
			"/run/podswitch/state":               {"keeper"},
		},
		"single.yaml": {
			"/run/podswitch/state/control.sock": {"podswitch"},
			"/run/podswitch/guest/socket":       {"podswitch", "qemu"},
			"/run/podswitch/state/keeper.sock":  {"podswitch"},
			"/run/podswitch/state":              {"podswitch"},
		},
	}
	for _, name := range manifests(t) {
		p, seen := readManifest(t, name), map[string]bool{}
		for _, c := range p.all() {
			for _, used := range paths(c) {
				seen[used] = true
				want := users[name][used]
				if !slices.Contains(want, c.Name) {
					t.Errorf("%s: %s uses %s, which belongs to %v", name, c.Name, used, want)
				}
				if have := p.mounters(c, used); !slices.Equal(have, want) {
					t.Errorf("%s: %s: %v mount the volume with %s: want %v", name, c.Name, have, used, want)
				}
			}
		}
		for used := range users[name] {
			if !seen[used] {
				t.Errorf("%s: no container uses %s", name, used)
			}
		}
	}
}

var runPath = regexp.MustCompile(`/run/[a-z/.]+`)

// paths returns the paths of podswitch in a container's commands.
func paths(c container) (list []string) {
	for _, arg := range slices.Concat(append(c.commands(), c.Command)...) {
		list = append(list, runPath.FindAllString(arg, -1)...)
	}
	return list
}

// mounters returns the containers that mount the volume of a path in c. The path is the volume itself, or at its top.
func (p pod) mounters(c container, used string) (names []string) {
	for _, m := range c.VolumeMounts {
		if m.MountPath != used && m.MountPath != path.Dir(used) {
			continue
		}
		for _, other := range p.all() {
			if slices.ContainsFunc(other.VolumeMounts, func(o mount) bool { return o.Name == m.Name }) {
				names = append(names, other.Name)
			}
		}
	}
	return names
}

// TestAVolumeHasOnePath checks that each volume has the same path in every container, because sockets are found by their path.
func TestAVolumeHasOnePath(t *testing.T) {
	for _, name := range manifests(t) {
		places := map[string]string{}
		for _, c := range readManifest(t, name).all() {
			for _, m := range c.VolumeMounts {
				if before, ok := places[m.Name]; ok && before != m.MountPath || strings.HasSuffix(m.MountPath, "/") {
					t.Errorf("%s: %s mounts %s at %s, others at %s", name, c.Name, m.Name, m.MountPath, before)
				}
				places[m.Name] = m.MountPath
			}
		}
	}
}
