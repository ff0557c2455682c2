//go:build kubernetes

package kubernetes

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serviceAddress is the address of the Service in front of the guest.
const serviceAddress = "10.96.0.80"

// testDeployment runs the pod of sidecar.yaml in a Deployment behind a Service, and disturbs it in all ways.
func (c *cluster) testDeployment(t *testing.T) {
	c.create(t, "/apis/apps/v1/namespaces/default/deployments", c.deployment(t))
	c.create(t, "/api/v1/namespaces/default/services", object{
		"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "vm"},
		"spec": object{"clusterIP": serviceAddress, "selector": object{"app": "vm"}, "ports": []object{{"name": "page", "port": 80}, {"name": "echo", "port": 7}}},
	})
	v := c.awaitPodOfDeployment(t, "")
	t.Run("Service", func(t *testing.T) { v.with(t).testService() })
	t.Run("Drain", func(t *testing.T) { v = v.with(t).testDrain() })
	t.Run("Kill", func(t *testing.T) { v.with(t).testKill() })
	t.Run("Image", func(t *testing.T) { v.with(t).testImage() })
	t.Run("Hang", func(t *testing.T) { v.with(t).testHang() })
	t.Run("Takeover", func(t *testing.T) { v.with(t).testTakeover() })
}

// with returns the pod for a subtest.
func (v *vm) with(t *testing.T) *vm { return &vm{v.cluster, t, v.name} }

// deployment returns a Deployment of sidecar.yaml. The guest's own page decides whether the pod is ready.
func (c *cluster) deployment(t *testing.T) object {
	t.Helper()
	spec := maps.Clone(readManifest(t, filepath.Join(c.deploy, "sidecar.yaml"))["spec"].(object))
	named(t, spec, "qemu")["readinessProbe"] = object{"httpGet": object{"path": "/", "port": 80}, "periodSeconds": 1}
	labels := object{"app": "vm"}
	return object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": "vm"},
		"spec": object{
			"strategy": object{"type": "Recreate"}, "selector": object{"matchLabels": labels},
			"template": object{"metadata": object{"labels": labels}, "spec": spec},
		},
	}
}

// awaitPodOfDeployment waits until the Deployment has a ready pod other than one of the past.
func (c *cluster) awaitPodOfDeployment(t *testing.T, past string) *vm {
	t.Helper()
	v := &vm{c, t, ""}
	took := await(t, "a pod of the Deployment", func() error {
		var list struct{ Items []podObject }
		if err := c.get(podsPath+"?labelSelector=app=vm", &list); err != nil {
			return err
		}
		for _, p := range list.Items {
			if p.Metadata.Name != past && p.ready() {
				v.name = p.Metadata.Name
				return nil
			}
		}
		return fmt.Errorf("%+v", list.Items)
	})
	t.Logf("the Deployment's pod, with the guest's own readiness probe, is ready after %.1f s", took.Seconds())
	v.awaitGuest(c.other)
	return v
}

// testService reaches the guest by the Service's address: from another pod, from the node, and from the guest itself.
func (v *vm) testService() {
	url := "http://" + serviceAddress + "/"
	took := await(v.t, "the Service from another pod", func() error { return wantPage(fetch(v.other, url)) })
	v.t.Logf("another pod reaches the guest by the Service after %.2f s", took.Seconds())
	await(v.t, "the Service from the node", func() error { return v.node.ask(url) })
	took = await(v.t, "the Service from the guest", func() error { return wantPage(v.getInGuest(serviceAddress)) })
	v.t.Logf("the guest reaches itself by the Service after %.2f s", took.Seconds())
	s := openStream(v.t, v.other, serviceAddress)
	time.Sleep(time.Second)
	v.t.Logf("the longest time between two echoes by the Service, undisturbed for a second: %s", s.gap())
}

// getInGuest gets a page from within the guest, with nc: busybox' wget crashes in this guest.
func (v *vm) getInGuest(host string) (string, error) {
	answer, err := v.inGuest(v.other, fmt.Sprintf(`printf "GET / HTTP/1.0\r\n\r\n" | nc -w 5 %s 80`, host))
	_, page, _ := strings.Cut(answer, "\r\n\r\n")
	return page, err
}

func wantPage(page string, err error) error {
	if err == nil && page != guestPage {
		err = fmt.Errorf("the page %q", page)
	}
	return err
}
