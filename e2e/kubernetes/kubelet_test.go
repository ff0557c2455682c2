//go:build kubernetes

package kubernetes

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A worker is a node that runs pods.
type worker struct {
	*cluster
	*node
	own     string // its address
	network string // the network of its pods, as flannel writes it
}

// addWorker starts what runs pods on a node: containerd, flannel, kubelet and kube-proxy.
func (c *cluster) addWorker(n *node, address, network string) {
	n.t.Helper()
	w := worker{c, n, address, network}
	c.nodes[n.name] = n
	w.startContainerd()
	w.startFlannel()
	began := time.Now()
	w.startKubelet()
	w.startProxy()
	await(n.t, "the node to be ready", func() error {
		var o struct {
			Status struct{ Conditions []condition }
		}
		if err := c.get("/api/v1/nodes/"+n.name, &o); err != nil {
			return err
		}
		if !isTrue(o.Status.Conditions, "Ready") {
			return fmt.Errorf("%+v", o.Status.Conditions)
		}
		return nil
	})
	n.t.Logf("%s is ready %.1f s after its kubelet started; the cluster is %s old", n.name, time.Since(began).Seconds(), c.age())
}

// runtimeConfig is containerd's. restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE here, and could not lower the value.
const runtimeConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`

// startContainerd starts containerd with all images. podswitch's has a second name, too.
func (w worker) startContainerd() {
	w.t.Helper()
	w.write("/etc/containerd/config.toml", runtimeConfig)
	w.start("containerd", "containerd")
	await(w.t, "containerd", func() error {
		_, err := w.try("ctr", "version")
		return err
	})
	for _, archive := range []string{"pause.tar", "client.tar", "qemu.tar"} {
		w.run("ctr", "--namespace", "k8s.io", "images", "import", filepath.Join(w.images, archive))
	}
	for _, name := range []string{"docker.io/library/podswitch:dev", nextImage} {
		w.run("ctr", "--namespace", "k8s.io", "images", "import", "--index-name", name, w.switches)
	}
}

// nextImage is the second name of podswitch's image.
const nextImage = "docker.io/library/podswitch:next"

// startFlannel starts a flanneld, whose store is the cluster's etcd, and configures the network plugin with its subnet, as flannel's own
// plugin does.
func (w worker) startFlannel() {
	w.t.Helper()
	w.run("etcdctl", "--endpoints", store, "put", "/coreos.com/network/config",
		`{"Network": "`+podNetwork+`", "SubnetLen": 24, "EnableNFTables": true, "Backend": {"Type": "vxlan"}}`)
	w.run("etcdctl", "--endpoints", store, "put", "/coreos.com/network/subnets/"+w.network, `{"PublicIP": "`+w.own+`"}`)
	w.start("flanneld", w.flannel, "-etcd-endpoints="+store, "-iface="+w.own,
		"-subnet-file=/run/flannel/subnet.env", "-ip-masq", "-iptables-forward-rules=false")
	var settings map[string]string
	await(w.t, "flanneld's subnet", func() (err error) {
		settings, err = readVariables(w.path("/run/flannel/subnet.env"))
		return err
	})
	w.write("/etc/cni/net.d/10-flannel.conflist", fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "cbr0", "plugins": [
		{"type": "bridge", "bridge": "cni0", "mtu": %s, "isGateway": true, "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
			"ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]], "routes": [{"dst": "%s"}]}},
		{"type": "portmap", "capabilities": {"portMappings": true}}]}`,
		settings["FLANNEL_MTU"], strings.Replace(settings["FLANNEL_SUBNET"], ".1/", ".0/", 1), settings["FLANNEL_NETWORK"]))
}

// readVariables reads lines NAME=VALUE.
func readVariables(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	settings := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		settings[name] = value
	}
	if settings["FLANNEL_MTU"] == "" {
		return nil, errUnready
	}
	return settings, nil
}

// withSettings runs a command that finds the kernel's settings as it wants them, and so does not write them: files with the values lie over
// them, in a mount namespace of the command.
const withSettings = `mount --make-private /proc
put() { echo "$2" >"/run/setting-${1##*/}"; mount --bind "/run/setting-${1##*/}" "/proc/sys/$1"; }
put vm/overcommit_memory 1
put vm/panic_on_oom 0
put kernel/panic 10
put kernel/panic_on_oops 1
put kernel/keys/root_maxkeys 1000000
put kernel/keys/root_maxbytes 25000000
exec "$@"`

func (w worker) startKubelet() {
	w.t.Helper()
	w.write("/run/resolv.conf", "nameserver 192.0.2.53\n")
	w.issueUser(w.name, "system:node:"+w.name, "system:nodes")
	w.writeFile("kubelet.json", kubeletConfig(w.file("ca.crt")))
	w.start("kubelet", "unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", withSettings, "sh",
		w.program("kubelet"), "--config", w.file("kubelet.json"), "--kubeconfig", w.file(w.name+".conf"),
		"--node-ip", w.own, "--hostname-override", w.name, "--v=2")
}

// kubeletConfig is for a node without systemd, whose file systems are those of the machine, whose disk may be rather full.
func kubeletConfig(ca string) string {
	text, err := json.MarshalIndent(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"authentication":                map[string]any{"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": false}, "x509": map[string]any{"clientCAFile": ca}},
		"authorization":                 map[string]any{"mode": "AlwaysAllow"},
		"containerRuntimeEndpoint":      "unix:///run/containerd/containerd.sock",
		"volumePluginDir":               "/var/lib/kubelet/volume-plugins",
		"cgroupDriver":                  "cgroupfs",
		"cgroupRoot":                    "/",
		"enforceNodeAllocatable":        []string{},
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"makeIPTablesUtilChains":        false,
		"localStorageCapacityIsolation": false,
		"evictionHard":                  map[string]string{"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
		"imageGCHighThresholdPercent":   100,
		"resolvConf":                    "/run/resolv.conf",
		"clusterDNS":                    []string{nameServer},
		"clusterDomain":                 "cluster.local",
	}, "", "\t")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// startProxy starts kube-proxy with nftables. It shall not size the connection table, which is the machine's.
func (w worker) startProxy() {
	w.t.Helper()
	w.start("kube-proxy", w.program("kube-proxy"), "--kubeconfig", w.file("admin.conf"), "--hostname-override", w.name,
		"--proxy-mode", "nftables", "--cluster-cidr", podNetwork, "--conntrack-max-per-core", "0", "--conntrack-min", "0",
		"--conntrack-tcp-timeout-established", "0s", "--conntrack-tcp-timeout-close-wait", "0s")
	await(w.t, "kube-proxy", func() error { return w.ask("http://127.0.0.1:10256/livez") })
}
