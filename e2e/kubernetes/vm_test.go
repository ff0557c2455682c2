//go:build kubernetes

package kubernetes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A vm is a pod with a guest.
type vm struct {
	*cluster
	t    *testing.T
	name string
}

// state returns the pod as the API server has it.
func (v *vm) state() (p podObject, err error) {
	err = v.get(podsPath+"/"+v.name, &p)
	return p, err
}

func (v *vm) mustState() podObject {
	v.t.Helper()
	p, err := v.state()
	if err != nil {
		v.t.Fatal(err)
	}
	return p
}

// awaitReady waits until the pod is ready.
func (v *vm) awaitReady() time.Duration {
	v.t.Helper()
	return await(v.t, v.name+" to be ready", func() error {
		p, err := v.state()
		if err == nil && !p.ready() {
			err = fmt.Errorf("%+v", p.Status)
		}
		return err
	})
}

// log returns the output of the present and the earlier runs of a container.
func (v *vm) log(container string) string {
	v.t.Helper()
	p := v.mustState()
	pattern := v.nodes[p.Spec.NodeName].path(fmt.Sprintf("/var/log/pods/default_%s_%s/%s/*.log", v.name, p.Metadata.UID, container))
	files, err := filepath.Glob(pattern)
	if err != nil {
		v.t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			v.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

var leases = regexp.MustCompile(`guest: lease ([0-9.]+)/`)

// awaitGuest waits until the guest has a lease and serves its page to another pod. It checks that the lease is the pod's address.
func (v *vm) awaitGuest(from netns) (took time.Duration) {
	v.t.Helper()
	ip := v.mustState().Status.PodIP
	took = await(v.t, "the guest's page", func() error {
		page, err := fetch(from, "http://"+ip+"/")
		if err == nil && page != guestPage {
			err = fmt.Errorf("the page %q", page)
		}
		return err
	})
	if lease := leases.FindStringSubmatch(v.log("qemu")); lease == nil || lease[1] != ip {
		v.t.Errorf("the guest's lease is %v, the pod's address %s", lease, ip)
	}
	return took
}

// guestPage is what the guest serves.
const guestPage = "Hello from the guest.\n"

// fetch gets a page from within a network namespace.
func fetch(from netns, url string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: from.dial, DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	return string(page), err
}

// inGuest runs a command in the guest's shell and returns its output.
func (v *vm) inGuest(from netns, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := from.dial(ctx, "tcp", net.JoinHostPort(v.mustState().Status.PodIP, "514"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(conn, "%s; exit\n", command); err != nil {
		return "", err
	}
	out, err := io.ReadAll(conn)
	return string(out), err
}

// processes returns the processes of a container, the oldest first, by their numbers on the machine.
func (v *vm) processes(container string) (pids []int, err error) {
	p, err := v.state()
	if err != nil {
		return nil, err
	}
	_, id, _ := strings.Cut(p.container(container).ContainerID, "://")
	if id == "" {
		return nil, fmt.Errorf("%s has no container %s", v.name, container)
	}
	return processesOf(id)
}

// processesOf returns the processes whose cgroup has a name.
func processesOf(cgroup string) (pids []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), cgroup) {
			continue // it may have ended
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	if len(pids) == 0 {
		return nil, errors.New("no process in the cgroup " + cgroup)
	}
	return pids, nil
}

// first returns the first process of a container.
func (v *vm) first(container string) int {
	v.t.Helper()
	pids, err := v.processes(container)
	if err != nil {
		v.t.Fatal(err)
	}
	return pids[0]
}

// Fields of /proc/PID/stat, with the numbers that proc_pid_stat(5) gives them.
const (
	statParent    = 4
	statStartTime = 22 // in ticks of 10 ms
)

// stat returns a field of /proc/PID/stat, which must be behind the second one: that is a name and may have spaces.
func stat(pid, field int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strconv.Atoi(strings.Fields(rest)[field-3])
}

// startTime returns when a process started, after the start of the machine.
func startTime(pid int) (time.Duration, error) {
	ticks, err := stat(pid, statStartTime)
	return time.Duration(ticks) * 10 * time.Millisecond, err
}

// An event is what Kubernetes reports about a pod.
type event struct {
	Reason, Message string
	Count           int
	InvolvedObject  struct{ Name, UID, FieldPath string }
}

// events returns the events of the pod that have a reason.
func (v *vm) events(reason string) (list []event) {
	v.t.Helper()
	var all struct{ Items []event }
	if err := v.get("/api/v1/namespaces/default/events", &all); err != nil {
		v.t.Fatal(err)
	}
	for _, e := range all.Items {
		if e.InvolvedObject.Name == v.name && e.Reason == reason {
			list = append(list, e)
		}
	}
	return list
}

// lines splits text into its lines.
func lines(text string) (list []string) {
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		list = append(list, s.Text())
	}
	return list
}
