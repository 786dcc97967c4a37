"""The playground: one prompt over several models, each reply a live job."""
