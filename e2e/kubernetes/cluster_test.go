//go:build kubernetes

package kubernetes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Addresses of the cluster. All of them are in namespaces of the node.
const (
	nodeAddress  = "172.31.0.2"
	podNetwork   = "10.244.0.0/16"
	services     = "10.96.0.0/16"
	firstService = "10.96.0.1" // the API server's
	nameServer   = "10.96.0.10"
	store        = "http://" + nodeAddress + ":2379" // etcd, also for flannel
)

// A cluster is a control plane, which runs in the namespaces of its first node, and nodes.
type cluster struct {
	parts
	*api
	node   *node            // the first one
	nodes  map[string]*node // all, by their names
	folder string           // certificates and configuration
	began  time.Time
	other  netns // the network of another pod

	authority *authority
}

// startCluster starts what stores and checks objects: etcd, API server and controller manager.
func startCluster(t *testing.T, p parts) *cluster {
	t.Helper()
	n := startNode(t, "node1")
	c := &cluster{parts: p, node: n, nodes: map[string]*node{n.name: n}, folder: filepath.Join(n.folder, "cluster"), began: time.Now()}
	if err := os.Mkdir(c.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	n.address(nodeAddress)
	c.issueCertificates()
	c.startEtcd()
	c.startAPIServer()
	c.startController("kube-controller-manager", "--service-account-private-key-file", c.file("sa.key"), "--root-ca-file", c.file("ca.crt"),
		"--cluster-cidr", podNetwork, "--allocate-node-cidrs=false")
	await(t, "the default service account", func() error { return c.get("/api/v1/namespaces/default/serviceaccounts/default", nil) })
	var v struct{ GitVersion string }
	if err := c.get("/version", &v); err != nil {
		t.Fatal(err)
	}
	t.Logf("Kubernetes %s serves objects after %s", v.GitVersion, c.age())
	return c
}

func (c *cluster) age() time.Duration { return time.Since(c.began).Round(100 * time.Millisecond) }

// file returns the path of a file of the cluster, on the machine and in the node.
func (c *cluster) file(name string) string { return filepath.Join(c.folder, name) }

func (c *cluster) program(name string) string { return filepath.Join(c.programs, name) }

func (c *cluster) issueCertificates() {
	c.authority = newAuthority(c.node.t, c.folder)
	c.authority.issue("server", "kube-apiserver", "", "127.0.0.1", nodeAddress, firstService)
	c.issueUser("admin", "admin", "system:masters")
}

// issueUser makes the certificate of a user, and the file NAME.conf with which programs become this user.
func (c *cluster) issueUser(name, user, group string) {
	c.authority.issue(name, user, group)
	c.writeFile(name+".conf", fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://%[1]s:6443", certificate-authority: %[2]s/ca.crt}}]
users: [{name: u, user: {client-certificate: %[2]s/%[3]s.crt, client-key: %[2]s/%[3]s.key}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, nodeAddress, c.folder, name))
}

func (c *cluster) writeFile(name, text string) {
	c.node.t.Helper()
	if err := os.WriteFile(c.file(name), []byte(text), 0o600); err != nil {
		c.node.t.Fatal(err)
	}
}

func (c *cluster) startEtcd() {
	c.node.t.Helper()
	c.node.start("etcd", "etcd", "--data-dir", "/var/lib/etcd/data", "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:2379,"+store, "--advertise-client-urls", store, "--listen-peer-urls", "http://127.0.0.1:2380")
	await(c.node.t, "etcd", func() error { return c.node.ask(store + "/health") })
}

func (c *cluster) startAPIServer() {
	c.node.t.Helper()
	c.node.start("kube-apiserver", c.program("kube-apiserver"), "--etcd-servers", store,
		"--bind-address", "0.0.0.0", "--advertise-address", nodeAddress, "--service-cluster-ip-range", services,
		"--client-ca-file", c.file("ca.crt"), "--tls-cert-file", c.file("server.crt"), "--tls-private-key-file", c.file("server.key"),
		"--service-account-key-file", c.file("sa.pub"), "--service-account-signing-key-file", c.file("sa.key"),
		"--service-account-issuer", "https://kubernetes.default.svc", "--authorization-mode", "Node,RBAC",
		"--kubelet-client-certificate", c.file("admin.crt"), "--kubelet-client-key", c.file("admin.key"),
		"--kubelet-preferred-address-types", "InternalIP", "--enable-admission-plugins", "NodeRestriction")
	c.api = newAPI(c.node.t, c.node, c.folder, "admin", "https://127.0.0.1:6443")
	await(c.node.t, "the API server", func() error { return c.get("/readyz", nil) })
}

// startController starts a program that only talks to the API server.
func (c *cluster) startController(name string, args ...string) {
	c.node.t.Helper()
	own := []string{c.program(name), "--kubeconfig", c.file("admin.conf"), "--leader-elect=false", "--bind-address=127.0.0.1"}
	c.node.start(name, append(own, args...)...)
}

// kubectl runs kubectl as the administrator.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.node.try(append([]string{c.program("kubectl"), "--kubeconfig", c.file("admin.conf"), "--cache-dir", c.file("kubectl-cache")}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// create creates an object from YAML or a value.
func (c *cluster) create(t *testing.T, path string, object any) {
	t.Helper()
	if err := c.send("POST", path+"?fieldValidation=Strict", asYAML, object, nil); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

// errUnready is the state of something that is not yet what it has to become.
var errUnready = errors.New("not ready")
