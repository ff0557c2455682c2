//go:build kubernetes

package kubernetes

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// testSingle is testSidecars, a part of testKill, and testDelete for single.yaml.
func (c *cluster) testSingle(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(c.deploy, "single.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.create(t, podsPath, text)
	v := &vm{c, t, "vm"}
	t.Cleanup(func() { _ = c.send(http.MethodDelete, podsPath+"/vm?gracePeriodSeconds=0", asJSON, nil, nil) }) // after a failure
	t.Logf("the pod is ready after %.1f s", v.awaitReady().Seconds())
	t.Logf("the guest serves its page to another pod after %.1f s more", v.awaitGuest(c.other).Seconds())
	v.checkOrder("podswitch", "qemu")
	v.checkUndisturbed()
	v.disturb("kill -9 of the keeper", func() { v.killChild("podswitch") }).want(v, nil)
	v.disturb("kill -9 of the first process of the container", func() { v.killFirst("podswitch") }).want(v, map[string]int{"podswitch": 1})
	w := v.watchEnd("podswitch", "qemu")
	asked := time.Now()
	if err := c.send(http.MethodDelete, podsPath+"/vm", asJSON, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.check(asked, "qemu", "podswitch")
}
