//go:build kubernetes

package kubernetes

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testDelete deletes the pod of testSidecars. Its containers end in the opposite order with exit code 0, and the address is back on the
// pod's interface before the network plugin removes that.
func (c *cluster) testDelete(t *testing.T) {
	v := &vm{c, t, "vm"}
	w := v.watchEnd("keeper", "switch", "qemu")
	asked := time.Now()
	if err := c.send(http.MethodDelete, podsPath+"/vm", asJSON, nil, nil); err != nil {
		t.Fatal(err)
	}
	w.check(asked, "qemu", "switch", "keeper")
}

// A departure observes the end of a pod.
type departure struct {
	v       *vm
	address string
	network netns
	keeper  *os.File // output of the container that has the address
	pids    map[string]int
	watch   io.ReadCloser
	states  chan podObject // the last state of the pod
}

// watchEnd prepares the observation. The first of the containers is the one that has the address.
func (v *vm) watchEnd(names ...string) *departure {
	v.t.Helper()
	d := &departure{v: v, address: v.mustState().Status.PodIP, pids: map[string]int{}, states: make(chan podObject, 1)}
	var err error
	for _, name := range names {
		d.pids[name] = v.first(name)
	}
	if d.network, err = netnsOf(d.pids[names[0]]); err != nil {
		v.t.Fatal(err)
	}
	d.openLog(names[0])
	response, err := v.client.Get(v.base + podsPath + "?watch=true&resourceVersion=0&fieldSelector=metadata.name=" + v.name)
	if err != nil {
		v.t.Fatal(err)
	}
	d.watch = response.Body
	go d.followStates()
	return d
}

func (d *departure) openLog(container string) {
	d.v.t.Helper()
	files, err := filepath.Glob(d.v.node.path("/var/log/pods/default_" + d.v.name + "_*/" + container + "/*.log"))
	if err != nil || len(files) == 0 {
		d.v.t.Fatalf("no output of %s: %v", container, err)
	}
	if d.keeper, err = os.Open(files[len(files)-1]); err != nil {
		d.v.t.Fatal(err)
	}
}

// followStates passes on the state of the pod when it is gone.
func (d *departure) followStates() {
	defer close(d.states)
	for decoder := json.NewDecoder(d.watch); ; {
		var change struct {
			Type   string
			Object podObject
		}
		if err := decoder.Decode(&change); err != nil {
			return
		}
		if change.Type == "DELETED" {
			d.states <- change.Object
			return
		}
	}
}

// check waits until the pod is gone.
func (d *departure) check(asked time.Time, order ...string) {
	t := d.v.t
	t.Helper()
	defer d.network.file.Close()
	defer d.watch.Close()
	ends, back, addresses := d.observe(asked)
	if !slices.IsSortedFunc(order, func(a, b string) int { return int(ends[a] - ends[b]) }) {
		t.Errorf("the ends of the containers: %v: want the order %v", ends, order)
	}
	for _, name := range order {
		t.Logf("%-6s ended %.2f s after the deletion", name, ends[name].Seconds())
	}
	t.Logf("the address is back on the pod's interface %.2f s after the deletion", back.Seconds())
	if !slices.Equal(addresses, []string{d.address}) {
		t.Errorf("the pod's interface had the addresses %v when the network plugin removed it: want %s", addresses, d.address)
	}
	d.checkExitCodes(order)
	text, err := io.ReadAll(d.keeper)
	if err != nil {
		t.Fatal(err)
	}
	all := lines(string(text))
	t.Logf("the pod is gone after %.2f s; the last line of the keeper: %s", time.Since(asked).Seconds(), strings.TrimSpace(all[len(all)-1]))
}

// observe returns when the first process of each container ended, when the address was back, and the last addresses of the pod's interface.
func (d *departure) observe(asked time.Time) (ends map[string]time.Duration, back time.Duration, addresses []string) {
	ends = map[string]time.Duration{}
	for time.Since(asked) < timeout {
		for name, pid := range d.pids {
			if _, err := startTime(pid); err != nil && ends[name] == 0 {
				ends[name] = time.Since(asked)
			}
		}
		now, err := d.network.addresses("eth0")
		if err != nil && len(ends) == len(d.pids) {
			return ends, back, addresses
		}
		if err == nil {
			addresses = now
		}
		if back == 0 && slices.Contains(now, d.address) {
			back = time.Since(asked)
		}
		time.Sleep(2 * time.Millisecond)
	}
	d.v.t.Errorf("after %s: ended are %v, addresses %v", timeout, ends, addresses)
	return ends, back, addresses
}

func (d *departure) checkExitCodes(names []string) {
	d.v.t.Helper()
	state := <-d.states
	for _, name := range names {
		if end := state.container(name).State.Terminated; end == nil || end.ExitCode != 0 {
			d.v.t.Errorf("%s ended with %+v: want exit code 0", name, end)
		}
	}
}
