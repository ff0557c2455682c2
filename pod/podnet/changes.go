package podnet

import "fmt"

// Changes returns every change that Take would make, one sentence each, in their order. Without addresses there is nothing to take, and
// the list is empty.
func (id *Identity) Changes() []string {
	if len(id.Addresses) == 0 {
		return nil
	}
	list := []string{
		fmt.Sprintf("Record the configuration of %s in the state file, from which it is restored later.", id.Link.Name),
		fmt.Sprintf("Drop what %s receives for its addresses, but for messages to DHCP clients, with nftables tables %q, which the kernel removes when podswitch ends.",
			id.Link.Name, tableName(id.Link)),
	}
	for _, a := range id.Addresses {
		list = append(list, fmt.Sprintf("Remove the address %v from %s.", a, id.Link.Name))
	}
	for _, r := range id.Routes {
		if r.family() == IPv6 && r.Source.IsValid() {
			list = append(list, fmt.Sprintf("The kernel then forgets the source of the route %v.", r))
		}
		if r.family() == IPv6 && !isPrefixRoute(r, id.Addresses) {
			continue
		}
		list = append(list, fmt.Sprintf("The kernel then drops the route %v.", r))
	}
	for _, n := range only(IPv4, id.Neighbours) {
		list = append(list, fmt.Sprintf("The kernel then drops the neighbour %v.", n))
	}
	return list
}

// MuteChanges returns every change that Mute would make, one sentence each, in their order.
func (id *Identity) MuteChanges() []string {
	list := []string{fmt.Sprintf("Leave the addresses on %s.", id.Link.Name)}
	for _, f := range id.takenFamilies() {
		if address, ok := id.PodAddress(f); ok {
			list = append(list, fmt.Sprintf("Drop what %s receives for %v and what the pod's kernel sends from it there, but for DHCP, with nftables tables %q, "+
				"which the kernel removes when podswitch ends.", id.Link.Name, address.Addr(), tableName(id.Link)))
		}
	}
	return list
}
