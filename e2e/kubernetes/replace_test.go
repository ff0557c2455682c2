//go:build kubernetes

package kubernetes

import (
	"net/http"
	"path/filepath"
	"strings"
)

// testImage changes the images of the switch and then of the keeper in the running pod.
func (v *vm) testImage() {
	for _, name := range []string{"switch", "keeper"} {
		v.disturb("new image of the container "+name, func() { v.setImage(name, nextImage) }).want(v, map[string]int{name: 1})
	}
	v.checkNoBackOff()
}

// setImage changes the image of a sidecar and waits until it runs. The status may show another name of the same image.
func (v *vm) setImage(name, image string) {
	v.t.Helper()
	patch := object{"spec": object{"initContainers": []object{{"name": name, "image": image}}}}
	v.awaitReplaced(name, func() {
		if err := v.send(http.MethodPatch, podsPath+"/"+v.name, asMergePatch, patch, nil); err != nil {
			v.t.Fatal(err)
		}
	})
}

// testTakeover starts a switch in an ephemeral container, with the privileges of the present one, which takes over. The present one
// goes on and waits, and continues when the other one is killed.
func (v *vm) testTakeover() {
	v.disturb("takeover by a switch in an ephemeral container", func() {
		v.addEphemeral("takeover")
		await(v.t, "the takeover", func() error {
			p, err := v.state()
			if err == nil && (p.container("takeover").State.Running == nil || !strings.Contains(v.log("takeover"), "ready")) {
				err = errUnready
			}
			return err
		})
	}).want(v, nil)
	v.disturb("the end of that switch", func() { v.kill(v.first("takeover")) }).want(v, nil)
	v.checkNoBackOff()
}

// addEphemeral starts a switch that takes over, in a container that is otherwise as the switch of sidecar.yaml. An ephemeral container has
// neither probes nor resources nor a restart policy.
func (v *vm) addEphemeral(name string) {
	v.t.Helper()
	c := named(v.t, readManifest(v.t, filepath.Join(v.deploy, "sidecar.yaml"))["spec"].(object), "switch")
	args := append([]any(nil), c["args"].([]any)...)
	ephemeral := object{"name": name, "image": c["image"], "args": append(args, "--takeover"),
		"securityContext": c["securityContext"], "volumeMounts": c["volumeMounts"]}
	patch := object{"spec": object{"ephemeralContainers": []object{ephemeral}}}
	if err := v.send(http.MethodPatch, podsPath+"/"+v.name+"/ephemeralcontainers", asMergePatch, patch, nil); err != nil {
		v.t.Fatal(err)
	}
}
