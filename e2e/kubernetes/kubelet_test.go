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

// addNode starts what runs pods: containerd, flannel, scheduler, kubelet and kube-proxy.
func (c *cluster) addNode() {
	t := c.node.t
	t.Helper()
	c.startContainerd()
	c.startFlannel()
	c.startController("kube-scheduler")
	c.startKubelet()
	began := time.Now()
	c.startProxy()
	await(t, "the node to be ready", func() error {
		var n struct {
			Status struct{ Conditions []condition }
		}
		if err := c.get("/api/v1/nodes/"+c.node.name, &n); err != nil {
			return err
		}
		if !isTrue(n.Status.Conditions, "Ready") {
			return fmt.Errorf("%+v", n.Status.Conditions)
		}
		return nil
	})
	t.Logf("the node is ready %.1f s after its kubelet started; the cluster is %s old", time.Since(began).Seconds(), c.age())
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
func (c *cluster) startContainerd() {
	c.node.t.Helper()
	c.node.write("/etc/containerd/config.toml", runtimeConfig)
	c.node.start("containerd", "containerd")
	await(c.node.t, "containerd", func() error {
		_, err := c.node.try("ctr", "version")
		return err
	})
	for _, archive := range []string{"pause.tar", "client.tar", "qemu.tar"} {
		c.node.run("ctr", "--namespace", "k8s.io", "images", "import", filepath.Join(c.images, archive))
	}
	for _, name := range []string{"docker.io/library/podswitch:dev", nextImage} {
		c.node.run("ctr", "--namespace", "k8s.io", "images", "import", "--index-name", name, c.switches)
	}
}

// nextImage is the second name of podswitch's image.
const nextImage = "docker.io/library/podswitch:next"

// startFlannel starts a flanneld, whose store is the cluster's etcd, and configures the network plugin with its subnet, as flannel's own
// plugin does.
func (c *cluster) startFlannel() {
	c.node.t.Helper()
	c.node.run("etcdctl", "put", "/coreos.com/network/config",
		`{"Network": "`+podNetwork+`", "SubnetLen": 24, "EnableNFTables": true, "Backend": {"Type": "vxlan"}}`)
	c.node.run("etcdctl", "put", "/coreos.com/network/subnets/"+nodeNetwork, `{"PublicIP": "`+nodeAddress+`"}`)
	c.node.start("flanneld", c.flannel, "-etcd-endpoints=http://127.0.0.1:2379", "-iface="+nodeAddress,
		"-subnet-file=/run/flannel/subnet.env", "-ip-masq", "-iptables-forward-rules=false")
	var settings map[string]string
	await(c.node.t, "flanneld's subnet", func() (err error) {
		settings, err = readVariables(c.node.path("/run/flannel/subnet.env"))
		return err
	})
	c.node.write("/etc/cni/net.d/10-flannel.conflist", fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "cbr0", "plugins": [
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

func (c *cluster) startKubelet() {
	c.node.t.Helper()
	c.node.write("/run/resolv.conf", "nameserver 192.0.2.53\n")
	c.writeFile("kubelet.json", kubeletConfig(c.file("ca.crt")))
	c.node.start("kubelet", "unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", withSettings, "sh",
		c.program("kubelet"), "--config", c.file("kubelet.json"), "--kubeconfig", c.file("kubelet.conf"),
		"--node-ip", nodeAddress, "--hostname-override", c.node.name, "--v=2")
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
func (c *cluster) startProxy() {
	c.node.t.Helper()
	c.node.start("kube-proxy", c.program("kube-proxy"), "--kubeconfig", c.file("admin.conf"), "--hostname-override", c.node.name,
		"--proxy-mode", "nftables", "--cluster-cidr", podNetwork, "--conntrack-max-per-core", "0", "--conntrack-min", "0",
		"--conntrack-tcp-timeout-established", "0s", "--conntrack-tcp-timeout-close-wait", "0s")
	await(c.node.t, "kube-proxy", func() error { return c.ask("http://127.0.0.1:10256/livez") })
}
