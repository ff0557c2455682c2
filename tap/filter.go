package tap

import (
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// offEthertype is the offset of the ethertype in a frame without a tag.
const offEthertype = 12

// filter makes a packet socket receive only frames of the given ethertypes; nil: all frames. A frame that the filter does not pass is
// not queued and wakes no thread (socket(7), SO_ATTACH_FILTER).
func filter(fd int, ethertypes []uint16) error {
	if ethertypes == nil {
		return nil
	}
	program, err := bpf.Assemble(filterProgram(ethertypes))
	if err != nil {
		return err
	}
	instructions := make([]unix.SockFilter, len(program))
	for i, raw := range program {
		instructions[i] = unix.SockFilter{Code: raw.Op, Jt: raw.Jt, Jf: raw.Jf, K: raw.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(instructions)), Filter: &instructions[0]}
	return os.NewSyscallError("SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog))
}

// filterProgram returns the program: it loads the ethertype, compares it with each of the list, and returns how many bytes of the frame
// to pass. A frame that ends before its ethertype does not pass.
func filterProgram(ethertypes []uint16) []bpf.Instruction {
	list := []bpf.Instruction{bpf.LoadAbsolute{Off: offEthertype, Size: 2}}
	for i, t := range ethertypes {
		list = append(list, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(t), SkipTrue: uint8(len(ethertypes) - i)})
	}
	return append(list, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: 1<<31 - 1})
}
