package keys

// Sequence returns how many of a stored key's first bytes say to which sequence
// it belongs: keys that grow from one to the next that is added, such as a
// shard's records, a queue's messages or a tablet's change log. It is 0 for keys
// that belong to none, and for what is no key.
func Sequence(key []byte) int {
	switch {
	case len(key) > dataHeadSize && key[0] == dataSpace:
		switch key[dataHeadSize-1] {
		case typeRecords:
			if len(key) == dataHeadSize+4+3*8 {
				return dataHeadSize + 4
			}
		case typeMessage, typeBlock, typeReady:
			return dataHeadSize
		}
	case len(key) > tabletKeySize && key[0] == tabletSpace:
		switch key[tabletKeySize-1] {
		case typeDedupe, typeChange, typeTombstone, typeConflict:
			return tabletKeySize
		}
	}
	return 0
}
