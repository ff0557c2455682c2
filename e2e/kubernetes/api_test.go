//go:build kubernetes

package kubernetes

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Media types of requests.
const (
	asYAML       = "application/yaml"
	asJSON       = "application/json"
	asMergePatch = "application/strategic-merge-patch+json"
)

// An api is a client of the API server.
type api struct {
	base   string
	client *http.Client
}

// newAPI makes a client with the certificate NAME.crt of a folder, which connects from within a node.
func newAPI(t *testing.T, n *node, folder, name, base string) *api {
	t.Helper()
	space, err := netnsOf(n.pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { space.file.Close() })
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &api{base, &http.Client{Timeout: timeout, Transport: &http.Transport{
		DialContext: space.dial, TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}}}
}

// A refusal is an answer of the API server other than success.
type refusal struct {
	Code    int
	Message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.Code, r.Message) }

// send makes a request, and decodes the answer into a value unless that is nil. A body that is not text is encoded.
func (a *api) send(method, path, media string, body, into any) error {
	text, err := encode(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", media)
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		r := &refusal{}
		if json.Unmarshal(answer, r) != nil {
			r.Message = string(answer)
		}
		r.Code = response.StatusCode
		return r
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

func encode(body any) ([]byte, error) {
	switch text := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return text, nil
	case string:
		return []byte(text), nil
	}
	return json.Marshal(body)
}

func (a *api) get(path string, into any) error {
	return a.send(http.MethodGet, path, asJSON, nil, into)
}

// A podObject has the fields of a pod that the tests read.
type podObject struct {
	Metadata struct {
		Name, UID         string
		DeletionTimestamp *time.Time
	}
	Spec   struct{ NodeName string }
	Status struct {
		Phase, PodIP               string
		Conditions                 []condition
		InitContainerStatuses      []containerStatus
		ContainerStatuses          []containerStatus
		EphemeralContainerStatuses []containerStatus
	}
}

type condition struct{ Type, Status, Reason, Message string }

type containerStatus struct {
	Name, Image, ContainerID string
	Ready                    bool
	Started                  *bool
	RestartCount             int
	State                    struct {
		Running    *struct{ StartedAt time.Time }
		Waiting    *struct{ Reason, Message string }
		Terminated *termination
	}
	LastState struct{ Terminated *termination }
}

type termination struct {
	ExitCode   int
	Signal     int
	Reason     string
	FinishedAt time.Time
}

// containers returns the states of the containers of the manifest, in the order in which they start.
func (p podObject) containers() []containerStatus {
	return append(append([]containerStatus(nil), p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
}

// container returns the state of a container, which may be an ephemeral one.
func (p podObject) container(name string) (found containerStatus) {
	for _, c := range append(p.containers(), p.Status.EphemeralContainerStatuses...) {
		if c.Name == name {
			found = c
		}
	}
	return found
}

func (p podObject) ready() bool { return isTrue(p.Status.Conditions, "Ready") }

func isTrue(list []condition, kind string) bool {
	for _, c := range list {
		if c.Type == kind {
			return c.Status == "True"
		}
	}
	return false
}
