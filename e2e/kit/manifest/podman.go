package manifest

import "fmt"

// Podman has the changes for `podman kube play`, as podman 4.3 needs them.
var Podman = []Change{
	{
		What: "the sidecars are ordinary containers",
		Why:  "podman has no sidecars: an init container has to end before the others start. All start at once: the switch waits for the keeper, and QEMU connects until the socket is there",
		apply: func(p Pod) {
			all := p.Containers()
			list := make([]any, len(all))
			for i, c := range all {
				delete(c, "restartPolicy")
				list[i] = map[string]any(c)
			}
			delete(p.spec(), "initContainers")
			p.spec()["containers"] = list
		},
	},
	{
		What: "no probes",
		Why:  "podman runs them by timers of systemd, and without it a container is unhealthy for ever",
		apply: func(p Pod) {
			for _, c := range p.Containers() {
				delete(c, "startupProbe")
				delete(c, "livenessProbe")
			}
		},
	},
}

// Volumes returns the commands, without `podman`, that make the pod's volumes. podman takes an emptyDir for a volume with a name. Without these
// commands it would make that volume on the disk, where only the user who mounts it first may write to it. A volume that containers share is
// in memory, with the mode and the group that a kubelet sets. podman unmounts such a volume when the last of its containers is removed. The
// volume of a single container has the state file, which must outlive the container, and so is on the disk.
func (p Pod) Volumes() (commands [][]string) {
	group := any(0)
	if context, ok := p.spec()["securityContext"].(map[string]any); ok && context["fsGroup"] != nil {
		group = context["fsGroup"]
	}
	for _, v := range p.spec().items("volumes") {
		command := []string{"volume", "create"}
		if p.mounters(v["name"]) > 1 {
			command = append(command, "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", fmt.Sprintf("o=uid=0,gid=%v,mode=2777", group))
		}
		commands = append(commands, append(command, fmt.Sprint(v["name"])))
	}
	return commands
}

// mounters returns the number of containers that mount a volume.
func (p Pod) mounters(volume any) (n int) {
	for _, c := range p.Containers() {
		for _, m := range c.items("volumeMounts") {
			if m["name"] == volume {
				n++
			}
		}
	}
	return n
}

// RunCommand returns the command, without `podman`, that starts a container of the pod with another name, from another image, and with more
// arguments. podman cannot change a pod in place, and `podman container clone` loses the privileges of the container.
func (p Pod) RunCommand(name, as, image string, more ...string) []string {
	c := p.Container(name)
	security := Pod(c["securityContext"].(map[string]any))
	capabilities := Pod(security["capabilities"].(map[string]any))
	pod := p["metadata"].(map[string]any)["name"]
	command := []string{"run", "--detach", "--pod", fmt.Sprint(pod), "--name", as, "--restart", "always",
		"--user", fmt.Sprintf("%v:%v", security["runAsUser"], security["runAsGroup"]), "--cap-drop", "ALL",
		"--read-only", "--read-only-tmpfs=false", "--security-opt", "no-new-privileges"}
	for _, capability := range capabilities.texts("add") {
		command = append(command, "--cap-add", capability)
	}
	for _, m := range c.items("volumeMounts") {
		command = append(command, "--volume", fmt.Sprintf("%v:%v", m["name"], m["mountPath"]))
	}
	limits := c["resources"].(map[string]any)["limits"].(map[string]any)
	command = append(command, "--memory", podmanSize(fmt.Sprint(limits["memory"])))
	return append(append(append(command, image), c.texts("args")...), more...)
}

// podmanSize returns a size such as 64Mi as podman writes it.
func podmanSize(quantity string) string { return quantity[:len(quantity)-len("i")] }
