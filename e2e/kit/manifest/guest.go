package manifest

// Images of e2e/kit and deploy.
const (
	Image     = "podswitch:dev"
	QEMUImage = "podswitch-qemu:dev"
)

// Guest has the changes for every test and demo: local images, and the guest of QEMUImage.
var Guest = []Change{
	{
		What: "images are `podswitch:dev` and `podswitch-qemu:dev` of the local store",
		Why:  "there is no registry",
		apply: func(p Pod) {
			for _, c := range p.Containers() {
				c["image"], c["imagePullPolicy"] = localImage(Image), "Never"
			}
			p.Container("qemu")["image"] = localImage(QEMUImage)
		},
	},
	{
		What: "QEMU boots the kernel and the initramfs of its image, without a disk and in 256 MiB",
		Why:  "the guest needs no disk, and boots in seconds",
		apply: func(p Pod) {
			q := p.Container("qemu")
			q.replaceArguments("-drive", "-netdev", "-no-reboot", "-kernel", "/guest/kernel", "-initrd", "/guest/initramfs.gz", "-append",
				"console=ttyS0 quiet panic=-1 no_timer_check guest.model=virtio guest.stay=yes")
			q.replaceArguments("-m", "-nodefaults", "-m", "256")
			q["resources"] = map[string]any{"requests": map[string]any{"cpu": "1", "memory": "512Mi"}, "limits": map[string]any{"memory": "512Mi"}}
			q.retain("volumeMounts", func(m Pod) bool { return !isDisk(m) })
			p.spec().retain("volumes", func(v Pod) bool { return !isDisk(v) })
		},
	},
	{
		What: "QEMU emulates the CPU (`-cpu max`)",
		Why:  "every machine can do it",
		apply: func(p Pod) {
			p.Container("qemu").replaceArguments("-accel", "-machine", "-accel", "tcg", "-cpu", "max")
		},
	},
}
