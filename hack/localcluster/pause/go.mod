module nightcrawler.dev/localcluster/pause

go 1.21
