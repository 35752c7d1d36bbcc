//go:build weirbug_localreads

package tablet

const bugLocalReads = true
